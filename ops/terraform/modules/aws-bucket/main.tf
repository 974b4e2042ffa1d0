# The bucket with a region's dataset, its key, and its copy in another region.

terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = {
      source                = "hashicorp/aws"
      version               = ">= 5.100, < 7.0"
      configuration_aliases = [aws.copy]
    }
  }
}

variable "bucket" {
  description = "Name of the bucket."
  type        = string
}

variable "copy" {
  description = "Name of the bucket in the other region that it is replicated to."
  type        = string
}

variable "prefix" {
  description = "Where the dataset is in it."
  type        = string
}

variable "account" {
  description = "Number of the account."
  type        = string
}

variable "bucket_policy" {
  description = "JSON of the bucket's policy."
  type        = string
}

variable "lifecycle_rules" {
  description = "Tiers by prefix."
  type = map(object({
    prefix            = string
    transitions       = map(number)
    noncurrent_expire = number
  }))
}

variable "lock_days" {
  description = "Days for which a version in the copy cannot be deleted."
  type        = number
  default     = 35
}

# The administrators of the account say who uses a key; without this statement nobody could be given it.
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
}

resource "aws_kms_key" "dataset" {
  description             = "Objects of ${var.bucket}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_key" "copy" {
  provider                = aws.copy
  description             = "Objects of ${var.copy}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
}

# Ledgers are public: what is kept is integrity. Locks are possible here and not the default: requests with one need a checksum
# that the program does not send. The copy has one for each version.
resource "aws_s3_bucket" "dataset" {
  # checkov:skip=CKV_AWS_18:CloudTrail data events tell who wrote; access logs would be a second bucket of the same
  # checkov:skip=CKV2_AWS_62:nodes look themselves; nobody waits for notifications
  bucket              = var.bucket
  object_lock_enabled = true
  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "dataset" {
  bucket = aws_s3_bucket.dataset.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "dataset" {
  bucket = aws_s3_bucket.dataset.id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.dataset.arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "dataset" {
  bucket                  = aws_s3_bucket.dataset.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_policy" "dataset" {
  bucket = aws_s3_bucket.dataset.id
  policy = var.bucket_policy
}

resource "aws_s3_bucket_lifecycle_configuration" "dataset" {
  bucket = aws_s3_bucket.dataset.id
  dynamic "rule" {
    for_each = var.lifecycle_rules
    content {
      id     = rule.key
      status = "Enabled"
      filter {
        prefix = rule.value.prefix
      }
      dynamic "transition" {
        for_each = rule.value.transitions
        content {
          storage_class = transition.key
          days          = transition.value
        }
      }
      noncurrent_version_expiration {
        noncurrent_days = rule.value.noncurrent_expire
      }
    }
  }
  rule {
    id     = "uploads-that-were-not-ended"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

resource "aws_s3_bucket" "copy" {
  # checkov:skip=CKV_AWS_18:as the dataset's
  # checkov:skip=CKV2_AWS_62:as the dataset's
  # checkov:skip=CKV_AWS_144:this is the copy
  provider            = aws.copy
  bucket              = var.copy
  object_lock_enabled = true
  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "copy" {
  provider = aws.copy
  bucket   = aws_s3_bucket.copy.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_object_lock_configuration" "copy" {
  provider = aws.copy
  bucket   = aws_s3_bucket.copy.id
  rule {
    default_retention {
      mode = "COMPLIANCE"
      days = var.lock_days
    }
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "copy" {
  provider = aws.copy
  bucket   = aws_s3_bucket.copy.id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.copy.arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "copy" {
  provider                = aws.copy
  bucket                  = aws_s3_bucket.copy.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_lifecycle_configuration" "copy" {
  provider = aws.copy
  bucket   = aws_s3_bucket.copy.id
  rule {
    id     = "copies-are-read-seldom"
    status = "Enabled"
    filter {
      prefix = "${var.prefix}/"
    }
    transition {
      storage_class = "GLACIER_IR"
      days          = 1
    }
  }
  rule {
    id     = "uploads-that-were-not-ended"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

data "aws_iam_policy_document" "replication_trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account]
    }
  }
}

data "aws_iam_policy_document" "replication" {
  statement {
    actions   = ["s3:GetReplicationConfiguration", "s3:ListBucket"]
    resources = [aws_s3_bucket.dataset.arn]
  }
  statement {
    actions   = ["s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging", "s3:GetObjectRetention"]
    resources = ["${aws_s3_bucket.dataset.arn}/*"]
  }
  statement {
    actions   = ["s3:ReplicateObject", "s3:ReplicateTags"]
    resources = ["${aws_s3_bucket.copy.arn}/*"]
  }
  statement {
    actions   = ["kms:Decrypt"]
    resources = [aws_kms_key.dataset.arn]
  }
  statement {
    actions   = ["kms:Encrypt", "kms:GenerateDataKey"]
    resources = [aws_kms_key.copy.arn]
  }
}

resource "aws_iam_role" "replication" {
  name               = "${var.bucket}-replication"
  assume_role_policy = data.aws_iam_policy_document.replication_trust.json
}

resource "aws_iam_role_policy" "replication" {
  name   = "replication"
  role   = aws_iam_role.replication.id
  policy = data.aws_iam_policy_document.replication.json
}

# Deletions are not replicated. A log may arrive before the file that it names: `orrery verify` says whether a copy is whole.
resource "aws_s3_bucket_replication_configuration" "dataset" {
  depends_on = [aws_s3_bucket_versioning.dataset, aws_s3_bucket_versioning.copy]
  bucket     = aws_s3_bucket.dataset.id
  role       = aws_iam_role.replication.arn
  rule {
    id     = "all"
    status = "Enabled"
    filter {}
    delete_marker_replication {
      status = "Disabled"
    }
    source_selection_criteria {
      sse_kms_encrypted_objects {
        status = "Enabled"
      }
    }
    destination {
      bucket        = aws_s3_bucket.copy.arn
      storage_class = "STANDARD_IA"
      encryption_configuration {
        replica_kms_key_id = aws_kms_key.copy.arn
      }
      replication_time {
        status = "Enabled"
        time {
          minutes = 15
        }
      }
      metrics {
        status = "Enabled"
        event_threshold {
          minutes = 15
        }
      }
    }
  }
}

output "arn" {
  description = "ARN of the bucket."
  value       = aws_s3_bucket.dataset.arn
}

output "key_arn" {
  description = "ARN of the key of its objects."
  value       = aws_kms_key.dataset.arn
}
