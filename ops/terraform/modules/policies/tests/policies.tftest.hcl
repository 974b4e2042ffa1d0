variables {
  bucket_arn           = "arn:aws:s3:::b"
  key_arn              = "arn:aws:kms:us-east-1:000000000000:key/k"
  account              = "000000000000"
  prefix               = "orrery"
  maintenance_role_arn = "arn:aws:iam::000000000000:role/orrery-maintenance"
  oidc_provider        = "oidc.example/id/X"
}

run "writers_cannot_delete_and_readers_cannot_write" {
  command = plan
  assert {
    condition     = alltrue([for policy in values(output.role_policies) : !strcontains(policy, "Delete") && !strcontains(policy, "s3:*") && !strcontains(policy, "\"*\"")])
    error_message = "a role of a node may delete, or has more than it needs"
  }
  assert {
    condition     = !strcontains(output.role_policies["gateway"], "PutObject") && strcontains(output.role_policies["sink"], "PutObject")
    error_message = "a gateway reads, a sink writes"
  }
  assert {
    condition     = sort(keys(output.role_policies)) == tolist(["coordinator", "gateway", "sink"])
    error_message = "fetcher and processor touch no bucket of ours"
  }
}

run "a_put_that_might_replace_is_denied" {
  command = plan
  assert {
    condition = length([
      for s in jsondecode(output.bucket_policy).Statement : s
      if s.Effect == "Deny" && s.Action == "s3:PutObject" && try(s.Condition.Null["s3:if-none-match"], "") == "true" &&
      contains(s.Resource, "arn:aws:s3:::b/orrery/ledgers/data/*") && contains(s.Resource, "arn:aws:s3:::b/orrery/token_transfers/_delta_log/*.json")
    ]) == 1
    error_message = "exactly-once rests on put-if-absent: the bucket has to insist on it"
  }
  assert {
    condition     = alltrue([for s in jsondecode(output.bucket_policy).Statement : s.Effect == "Deny"])
    error_message = "a bucket's policy takes away, and gives nobody anything"
  }
  assert {
    condition     = alltrue(flatten([for s in jsondecode(output.bucket_policy).Statement : [for r in try(tolist(s.Resource), [s.Resource]) : !endswith(r, "_last_checkpoint")] if try(s.Condition.Null, null) != null]))
    error_message = "the hint is written anew by every checkpoint"
  }
}

run "a_service_account_is_one_role_alone" {
  command = plan
  assert {
    condition     = jsondecode(output.trust_policies["sink"]).Statement[0].Condition.StringEquals["oidc.example/id/X:sub"] == "system:serviceaccount:orrery:orrery-sink"
    error_message = "any pod could be a sink"
  }
  assert {
    condition     = length(distinct(values(output.trust_policies))) == 5
    error_message = "two roles trust the same"
  }
}

run "only_data_moves_to_a_colder_class" {
  command = plan
  assert {
    condition     = alltrue([for rule in values(output.lifecycle_rules) : endswith(rule.prefix, "/data/") && !contains(keys(rule), "expire")])
    error_message = "logs are read at every start, and nothing may ever be gone"
  }
}

run "a_prefix_with_a_slash_at_its_end_is_refused" {
  command = plan
  variables {
    prefix = "orrery/"
  }
  expect_failures = [var.prefix]
}
