# Who may do what with a region's bucket and its keys, as JSON: no provider, so that it can be tested.

terraform {
  required_version = ">= 1.9"
}

variable "bucket_arn" {
  description = "ARN of the bucket with the dataset."
  type        = string
}

variable "key_arn" {
  description = "ARN of the key that it is encrypted with."
  type        = string
}

variable "account" {
  description = "Number of the account."
  type        = string
}

variable "prefix" {
  description = "Where the dataset is in the bucket, without slashes at its ends."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9/-]*[a-z0-9]$", var.prefix))
    error_message = "prefix: give a path of a-z, 0-9, - and /, without a slash at its ends."
  }
}

variable "maintenance_role_arn" {
  description = "Who runs scrub and restore by hand: the only one who may replace what is there."
  type        = string
}

variable "oidc_provider" {
  description = "Issuer of the cluster's service account tokens, without https://."
  type        = string
}

variable "namespace" {
  description = "Namespace of the service accounts."
  type        = string
  default     = "orrery"
}

locals {
  tables = ["token_transfers", "ledgers"]
  # What a node writes once and never again. The hint beside a log is written anew with each checkpoint.
  once = flatten([for table in local.tables : [
    "${var.bucket_arn}/${var.prefix}/${table}/data/*",
    "${var.bucket_arn}/${var.prefix}/${table}/_epochs/*",
    "${var.bucket_arn}/${var.prefix}/${table}/_delta_log/*.json",
    "${var.bucket_arn}/${var.prefix}/${table}/_quarantine/*",
  ]])

  read = [
    { Sid = "List", Effect = "Allow", Action = ["s3:ListBucket"], Resource = [var.bucket_arn], Condition = { StringLike = { "s3:prefix" = ["${var.prefix}/*", var.prefix] } } },
    { Sid = "Read", Effect = "Allow", Action = ["s3:GetObject"], Resource = ["${var.bucket_arn}/${var.prefix}/*"] },
    { Sid = "Decrypt", Effect = "Allow", Action = ["kms:Decrypt"], Resource = [var.key_arn] },
  ]
  write = [
    { Sid = "Write", Effect = "Allow", Action = ["s3:PutObject"], Resource = ["${var.bucket_arn}/${var.prefix}/*"] },
    { Sid = "Encrypt", Effect = "Allow", Action = ["kms:GenerateDataKey"], Resource = [var.key_arn] },
  ]
  # Roles of nodes by what they touch: a fetcher reads public ledgers with no account at all, a processor nothing.
  statements = {
    coordinator = concat(local.read, local.write)
    sink        = concat(local.read, local.write)
    gateway     = local.read
    fetcher     = []
    processor   = []
  }

  not_maintenance = { ArnNotEquals = { "aws:PrincipalArn" = var.maintenance_role_arn } }
  bucket_policy = [
    {
      Sid       = "TlsAlone", Effect = "Deny", Principal = "*", Action = "s3:*",
      Resource  = [var.bucket_arn, "${var.bucket_arn}/*"],
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    },
    {
      # The one thing that exactly-once rests on: who writes under a name says that nothing may be there.
      Sid      = "PutIfAbsentAlone", Effect = "Deny", Principal = "*", Action = "s3:PutObject",
      Resource = local.once,
      Condition = merge(local.not_maintenance, {
        Null = { "s3:if-none-match" = "true" }
        Bool = { "s3:ObjectCreationOperation" = "true" }
      })
    },
    {
      Sid       = "NothingIsDeleted", Effect = "Deny", Principal = "*",
      Action    = ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutLifecycleConfiguration", "s3:PutBucketVersioning", "s3:BypassGovernanceRetention"],
      Resource  = [var.bucket_arn, "${var.bucket_arn}/${var.prefix}/*"],
      Condition = local.not_maintenance
    },
    {
      Sid       = "OurKeyAlone", Effect = "Deny", Principal = "*", Action = "s3:PutObject",
      Resource  = ["${var.bucket_arn}/*"],
      Condition = { StringNotEqualsIfExists = { "s3:x-amz-server-side-encryption-aws-kms-key-id" = var.key_arn } }
    },
  ]
}

output "role_policies" {
  description = "JSON by role of a node; roles that need none are left out."
  value       = { for role, made in local.statements : role => jsonencode({ Version = "2012-10-17", Statement = made }) if length(made) > 0 }
}

output "trust_policies" {
  description = "Which service account may be which role: JSON by role."
  value = {
    for role in keys(local.statements) : role => jsonencode({
      Version = "2012-10-17"
      Statement = [{
        Effect    = "Allow"
        Action    = "sts:AssumeRoleWithWebIdentity"
        Principal = { Federated = "arn:aws:iam::${var.account}:oidc-provider/${var.oidc_provider}" }
        Condition = {
          StringEquals = {
            "${var.oidc_provider}:aud" = "sts.amazonaws.com"
            "${var.oidc_provider}:sub" = "system:serviceaccount:${var.namespace}:orrery-${role}"
          }
        }
      }]
    })
  }
}

output "bucket_policy" {
  description = "JSON of the bucket's policy."
  value       = jsonencode({ Version = "2012-10-17", Statement = local.bucket_policy })
}

# A prefix a rule; nothing is ever expired but versions that maintenance has replaced. As ops/lifecycle/dataset.json.
output "lifecycle_rules" {
  description = "Tiers by prefix: days until a class that answers at once, and a colder one."
  value = { for table in local.tables : "dataset-${table}-data" => {
    prefix            = "${var.prefix}/${table}/data/"
    transitions       = { STANDARD_IA = 30, GLACIER_IR = 180 }
    noncurrent_expire = 90
  } }
}
