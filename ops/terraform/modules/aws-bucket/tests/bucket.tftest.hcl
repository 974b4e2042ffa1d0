mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

mock_provider "aws" {
  alias = "copy"
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  bucket        = "orrery-us-east-1"
  copy          = "orrery-us-east-1-copy"
  prefix        = "orrery"
  account       = "123456789012"
  bucket_policy = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
  lifecycle_rules = {
    data = { prefix = "orrery/data/", transitions = { STANDARD_IA = 30, GLACIER_IR = 90 }, noncurrent_expire = 365 }
  }
}

run "every_version_is_kept_and_a_copy_cannot_be_deleted" {
  command = plan
  assert {
    condition     = aws_s3_bucket.dataset.object_lock_enabled && aws_s3_bucket.copy.object_lock_enabled
    error_message = "a bucket has no locks"
  }
  assert {
    condition     = aws_s3_bucket_versioning.dataset.versioning_configuration[0].status == "Enabled" && aws_s3_bucket_versioning.copy.versioning_configuration[0].status == "Enabled"
    error_message = "a bucket keeps no versions"
  }
  assert {
    condition     = aws_s3_bucket_object_lock_configuration.copy.rule[0].default_retention[0].mode == "COMPLIANCE" && aws_s3_bucket_object_lock_configuration.copy.rule[0].default_retention[0].days == 35
    error_message = "a copy can be deleted before its time"
  }
  assert {
    condition     = aws_s3_bucket_replication_configuration.dataset.rule[0].delete_marker_replication[0].status == "Disabled"
    error_message = "a deletion reaches the copy"
  }
  assert {
    condition     = aws_s3_bucket_policy.dataset.policy == var.bucket_policy
    error_message = "the bucket has another policy than the one that was given"
  }
}

run "data_move_to_cheaper_classes_and_nothing_of_now_expires" {
  command = plan
  assert {
    condition     = { for step in aws_s3_bucket_lifecycle_configuration.dataset.rule[0].transition : step.storage_class => step.days } == { STANDARD_IA = 30, GLACIER_IR = 90 }
    error_message = "tiers are other than given"
  }
  assert {
    condition     = alltrue([for rule in aws_s3_bucket_lifecycle_configuration.dataset.rule : length(rule.expiration) == 0])
    error_message = "something that is read expires"
  }
}

run "nothing_is_public" {
  command = plan
  assert {
    condition     = alltrue([for block in [aws_s3_bucket_public_access_block.dataset, aws_s3_bucket_public_access_block.copy] : block.block_public_acls && block.block_public_policy && block.ignore_public_acls && block.restrict_public_buckets])
    error_message = "a bucket may be made public"
  }
}
