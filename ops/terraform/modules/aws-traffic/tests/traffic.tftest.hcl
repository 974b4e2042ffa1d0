mock_provider "aws" {}

variables {
  zone_id = "Z0123456789ABCDEFGHIJ"
  name    = "feed.example.org"
  regions = {
    us-east-1 = { balancer = "a.elb.amazonaws.com", balancer_zone = "Z1", host = "us-east-1.feed.example.org" }
    eu-west-1 = { balancer = "c.elb.amazonaws.com", balancer_zone = "Z3", host = "eu-west-1.feed.example.org" }
  }
}

run "a_region_has_readers_while_it_says_so" {
  command = plan
  assert {
    condition     = alltrue([for check in aws_route53_health_check.traffic : check.resource_path == "/healthz/traffic" && check.type == "HTTPS" && check.enable_sni])
    error_message = "health is asked elsewhere than at /healthz/traffic over TLS"
  }
  assert {
    condition     = alltrue([for region, record in aws_route53_record.readers : record.name == "feed.example.org" && record.set_identifier == region && record.weighted_routing_policy[0].weight == 100])
    error_message = "DNS decides instead of the regions"
  }
  # Two looks of ten seconds: what ops/runbooks promise of a failover counts on it.
  assert {
    condition     = alltrue([for check in aws_route53_health_check.traffic : check.request_interval * check.failure_threshold <= 20])
    error_message = "a region that fails keeps its readers for longer than twenty seconds"
  }
}
