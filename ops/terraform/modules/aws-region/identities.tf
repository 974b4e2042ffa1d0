# One role for each service account that touches the bucket (IRSA).

variable "role_policies" {
  description = "JSON by role of a node."
  type        = map(string)
}

variable "trust_policies" {
  description = "JSON by role of a node."
  type        = map(string)
}

resource "aws_iam_role" "node" {
  for_each             = var.role_policies
  name                 = var.region.roles[each.key]
  assume_role_policy   = var.trust_policies[each.key]
  max_session_duration = 3600
}

resource "aws_iam_role_policy" "node" {
  for_each = var.role_policies
  name     = "dataset"
  role     = aws_iam_role.node[each.key].id
  policy   = each.value
}
