variables {
  name = "orrery"
  regions = {
    us-east-1 = { cidr = "10.10.0.0/16", zones = ["a", "b", "c"], priority = 1 }
    us-west-2 = { cidr = "10.20.0.0/16", zones = ["a", "b", "c"], priority = 2 }
    eu-west-1 = { cidr = "10.30.0.0/16", zones = ["a", "b", "c"], priority = 3 }
  }
}

run "each_region_has_networks_of_its_own" {
  command = plan
  assert {
    condition     = output.regions["us-east-1"].private["b"] == "10.10.64.0/18" && output.regions["us-east-1"].public["a"] == "10.10.192.0/24"
    error_message = "subnets are cut otherwise than the network policies expect"
  }
  assert {
    condition     = length(distinct(flatten([for r in values(output.regions) : concat(values(r.private), values(r.public))]))) == 18
    error_message = "two subnets are one"
  }
  assert {
    condition     = join(" ", output.regions["us-west-2"].peer_cidrs) == "10.30.0.0/16 10.10.0.0/16"
    error_message = "peers are those of ops/helm/values-us-west-2.yaml, without the region itself"
  }
}

run "a_copy_is_in_the_region_that_takes_over" {
  command = plan
  assert {
    condition     = join(" ", output.order) == "us-east-1 us-west-2 eu-west-1"
    error_message = "the order is that of priorities"
  }
  assert {
    condition     = alltrue([for name, r in output.regions : r.copy_in != name]) && output.regions["eu-west-1"].copy_in == "us-east-1"
    error_message = "a copy beside what it copies is lost with it"
  }
}

run "names_fit_into_buckets" {
  command = plan
  assert {
    condition     = alltrue([for r in values(output.regions) : length(r.bucket) <= 63 && length(r.copy) <= 63])
    error_message = "S3 takes 63 characters"
  }
}

run "one_region_is_refused" {
  command = plan
  variables {
    regions = { us-east-1 = { cidr = "10.10.0.0/16", zones = ["a", "b", "c"], priority = 1 } }
  }
  expect_failures = [var.regions]
}

run "networks_that_are_the_same_are_refused" {
  command = plan
  variables {
    regions = {
      us-east-1 = { cidr = "10.10.0.0/16", zones = ["a", "b", "c"], priority = 1 }
      us-west-2 = { cidr = "10.10.0.0/16", zones = ["a", "b", "c"], priority = 2 }
    }
  }
  expect_failures = [var.regions]
}

run "a_name_that_no_bucket_can_have_is_refused" {
  command = plan
  variables {
    name = "Orrery_Prod"
  }
  expect_failures = [var.name]
}
