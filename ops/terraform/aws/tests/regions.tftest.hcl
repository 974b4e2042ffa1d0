# All three regions planned by the provider's own rules, without an account: what only AWS knows is made up.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

mock_provider "aws" {
  alias = "us_west_2"
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

mock_provider "aws" {
  alias = "eu_west_1"
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  account              = "123456789012"
  maintenance_role_arn = "arn:aws:iam::123456789012:role/maintenance"
}

run "regions_reach_each_other_and_nobody_else" {
  command = plan
  assert {
    condition     = length(aws_route.us_east_1) == 6 && length(aws_route.us_west_2) == 6 && length(aws_route.eu_west_1) == 6
    error_message = "each region has three private tables, and a way to two others in each"
  }
  assert {
    condition     = join(" ", sort(distinct([for route in aws_route.us_west_2 : route.destination_cidr_block]))) == "10.10.0.0/16 10.30.0.0/16"
    error_message = "us-west-2 has other ways than to us-east-1 and eu-west-1"
  }
  assert {
    condition     = aws_vpc_peering_connection.west_europe.peer_region == "eu-west-1" && aws_vpc_peering_connection_accepter.west_europe.auto_accept
    error_message = "us-west-2 and eu-west-1 are not joined"
  }
  assert {
    condition     = length(module.traffic) == 0
    error_message = "before there are balancers nobody is sent to them"
  }
}

run "readers_are_sent_where_balancers_are" {
  command = plan
  variables {
    traffic = {
      zone_id = "Z0123456789ABCDEFGHIJ"
      name    = "feed.example.org"
      regions = {
        us-east-1 = { balancer = "a.elb.amazonaws.com", balancer_zone = "Z1", host = "us-east-1.feed.example.org" }
        us-west-2 = { balancer = "b.elb.amazonaws.com", balancer_zone = "Z2", host = "us-west-2.feed.example.org" }
        eu-west-1 = { balancer = "c.elb.amazonaws.com", balancer_zone = "Z3", host = "eu-west-1.feed.example.org" }
      }
    }
  }
  assert {
    condition     = length(module.traffic) == 1
    error_message = "nobody is sent anywhere"
  }
}
