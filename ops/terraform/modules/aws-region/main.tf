# One region: network, cluster, machines, and the identities of our service accounts.

terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }
}

variable "region" {
  description = "What the plan says of this region."
  type = object({
    cluster    = string
    cidr       = string
    private    = map(string)
    public     = map(string)
    peer_cidrs = list(string)
    bucket     = string
    roles      = map(string)
  })
}

variable "account" {
  description = "Number of the account."
  type        = string
}

variable "kubernetes_version" {
  description = "Version of the cluster."
  type        = string
  default     = "1.31"
}

variable "api_cidrs" {
  description = "Networks from which the cluster's API may be asked; [] for none but the region's own."
  type        = list(string)
  default     = []
}

variable "node_groups" {
  description = "Machines by what runs on them."
  type = map(object({
    instance_types = list(string)
    min            = number
    max            = number
    spot           = bool
  }))
  # Sizes: ops/capacity.md. A range that a spot machine takes with it is done again by another.
  default = {
    serving = { instance_types = ["m7g.large"], min = 3, max = 6, spot = false }
    work    = { instance_types = ["c7g.large", "c6g.large", "m7g.large"], min = 2, max = 8, spot = true }
  }
}

variable "seccomp_profile" {
  description = "ops/security/seccomp.json, which every machine has below the kubelet's seccomp folder."
  type        = string
}

resource "aws_vpc" "this" {
  cidr_block           = var.region.cidr
  enable_dns_hostnames = true
  tags                 = { Name = var.region.cluster }
}

resource "aws_default_security_group" "closed" {
  vpc_id = aws_vpc.this.id
}

resource "aws_subnet" "private" {
  for_each          = var.region.private
  vpc_id            = aws_vpc.this.id
  cidr_block        = each.value
  availability_zone = each.key
  tags              = { Name = "${var.region.cluster}-private-${each.key}", "kubernetes.io/role/internal-elb" = "1" }
}

resource "aws_subnet" "public" {
  for_each          = var.region.public
  vpc_id            = aws_vpc.this.id
  cidr_block        = each.value
  availability_zone = each.key
  tags              = { Name = "${var.region.cluster}-public-${each.key}", "kubernetes.io/role/elb" = "1" }
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
}

resource "aws_eip" "nat" {
  for_each = var.region.public
  domain   = "vpc"
}

# One for each zone: a zone that is lost takes no other's way out with it.
resource "aws_nat_gateway" "this" {
  for_each      = var.region.public
  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = aws_subnet.public[each.key].id
  depends_on    = [aws_internet_gateway.this]
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id
  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.this.id
  }
}

resource "aws_route_table" "private" {
  for_each = var.region.private
  vpc_id   = aws_vpc.this.id
  route {
    cidr_block     = "0.0.0.0/0"
    nat_gateway_id = aws_nat_gateway.this[each.key].id
  }
}

resource "aws_route_table_association" "public" {
  for_each       = var.region.public
  subnet_id      = aws_subnet.public[each.key].id
  route_table_id = aws_route_table.public.id
}

resource "aws_route_table_association" "private" {
  for_each       = var.region.private
  subnet_id      = aws_subnet.private[each.key].id
  route_table_id = aws_route_table.private[each.key].id
}

# The dataset is reached without the NAT, and without paying for it.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${data.aws_region.this.id}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [for table in aws_route_table.private : table.id]
}

data "aws_region" "this" {}

resource "aws_kms_key" "cluster" {
  description             = "Secrets and logs of ${var.region.cluster}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
}

data "aws_iam_policy_document" "key" {
  # checkov:skip=CKV_AWS_109:a key's policy is about this key alone, and its resource has to be "*"
  # checkov:skip=CKV_AWS_111:as above
  # checkov:skip=CKV_AWS_356:as above
  statement {
    sid       = "AccountSaysWho"
    actions   = ["kms:*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${var.account}:root"]
    }
  }
  statement {
    sid       = "Logs"
    actions   = ["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey*", "kms:DescribeKey"]
    resources = ["*"]
    principals {
      type        = "Service"
      identifiers = ["logs.${data.aws_region.this.id}.amazonaws.com"]
    }
  }
}

resource "aws_cloudwatch_log_group" "flow" {
  name              = "/vpc/${var.region.cluster}"
  retention_in_days = 365
  kms_key_id        = aws_kms_key.cluster.arn
}

data "aws_iam_policy_document" "flow_trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["vpc-flow-logs.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "flow" {
  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.flow.arn}:*"]
  }
}

resource "aws_iam_role" "flow" {
  name               = "${var.region.cluster}-flow"
  assume_role_policy = data.aws_iam_policy_document.flow_trust.json
}

resource "aws_iam_role_policy" "flow" {
  name   = "flow"
  role   = aws_iam_role.flow.id
  policy = data.aws_iam_policy_document.flow.json
}

resource "aws_flow_log" "this" {
  vpc_id          = aws_vpc.this.id
  traffic_type    = "REJECT"
  log_destination = aws_cloudwatch_log_group.flow.arn
  iam_role_arn    = aws_iam_role.flow.arn
}

data "aws_iam_policy_document" "trust" {
  for_each = toset(["eks.amazonaws.com", "ec2.amazonaws.com"])
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = [each.key]
    }
  }
}

resource "aws_iam_role" "cluster" {
  name               = "${var.region.cluster}-cluster"
  assume_role_policy = data.aws_iam_policy_document.trust["eks.amazonaws.com"].json
}

resource "aws_iam_role_policy_attachment" "cluster" {
  role       = aws_iam_role.cluster.name
  policy_arn = "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"
}

resource "aws_iam_role" "machines" {
  name               = "${var.region.cluster}-machines"
  assume_role_policy = data.aws_iam_policy_document.trust["ec2.amazonaws.com"].json
}

resource "aws_iam_role_policy_attachment" "machines" {
  for_each   = toset(["AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryReadOnly"])
  role       = aws_iam_role.machines.name
  policy_arn = "arn:aws:iam::aws:policy/${each.key}"
}

resource "aws_eks_cluster" "this" {
  # checkov:skip=CKV_AWS_39:the API is public only to the networks in api_cidrs, and to none by default
  # checkov:skip=CKV_AWS_38:as above
  name                      = var.region.cluster
  role_arn                  = aws_iam_role.cluster.arn
  version                   = var.kubernetes_version
  enabled_cluster_log_types = ["api", "audit", "authenticator", "controllerManager", "scheduler"]
  vpc_config {
    subnet_ids              = [for subnet in aws_subnet.private : subnet.id]
    endpoint_private_access = true
    endpoint_public_access  = length(var.api_cidrs) > 0
    public_access_cidrs     = var.api_cidrs
  }
  encryption_config {
    resources = ["secrets"]
    provider {
      key_arn = aws_kms_key.cluster.arn
    }
  }
  depends_on = [aws_iam_role_policy_attachment.cluster]
}

# NetworkPolicies are enforced by the network's own agent, which is off unless it is asked for.
resource "aws_eks_addon" "network" {
  cluster_name         = aws_eks_cluster.this.name
  addon_name           = "vpc-cni"
  configuration_values = jsonencode({ enableNetworkPolicy = "true" })
}

resource "aws_launch_template" "machines" {
  name = var.region.cluster
  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
    # A pod is one hop further away than its machine, and gets no answer.
    http_put_response_hop_limit = 1
  }
  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      encrypted   = true
      volume_type = "gp3"
      volume_size = 40
    }
  }
  user_data = base64encode(join("\n", [
    "MIME-Version: 1.0",
    "Content-Type: multipart/mixed; boundary=\"==\"",
    "",
    "--==",
    "Content-Type: text/x-shellscript; charset=\"us-ascii\"",
    "",
    "#!/bin/sh",
    "mkdir -p /var/lib/kubelet/seccomp/orrery",
    "base64 -d > /var/lib/kubelet/seccomp/orrery/seccomp.json <<END",
    base64encode(var.seccomp_profile),
    "END",
    "--==--",
  ]))
}

resource "aws_eks_node_group" "this" {
  for_each        = var.node_groups
  cluster_name    = aws_eks_cluster.this.name
  node_group_name = each.key
  node_role_arn   = aws_iam_role.machines.arn
  subnet_ids      = [for subnet in aws_subnet.private : subnet.id]
  ami_type        = "AL2023_ARM_64_STANDARD"
  capacity_type   = each.value.spot ? "SPOT" : "ON_DEMAND"
  instance_types  = each.value.instance_types
  labels          = { "orrery/machines" = each.key }
  launch_template {
    id      = aws_launch_template.machines.id
    version = aws_launch_template.machines.latest_version
  }
  scaling_config {
    min_size     = each.value.min
    max_size     = each.value.max
    desired_size = each.value.min
  }
  update_config {
    max_unavailable = 1
  }
  lifecycle {
    # The cluster's autoscaler decides.
    ignore_changes = [scaling_config[0].desired_size]
  }
  depends_on = [aws_iam_role_policy_attachment.machines]
}

resource "aws_iam_openid_connect_provider" "this" {
  url            = aws_eks_cluster.this.identity[0].oidc[0].issuer
  client_id_list = ["sts.amazonaws.com"]
}

output "oidc_provider" {
  description = "Issuer of service account tokens, without https://."
  value       = replace(aws_iam_openid_connect_provider.this.url, "https://", "")
}

output "vpc_id" {
  description = "The network."
  value       = aws_vpc.this.id
}

output "route_table_ids" {
  description = "Of the private subnets, for the ways to other regions."
  value       = [for table in aws_route_table.private : table.id]
}
