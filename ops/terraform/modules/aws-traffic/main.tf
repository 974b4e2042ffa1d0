# One name for readers. A region gets traffic while its /healthz/traffic answers 200, which each region decides for itself from what
# all say: two regions that both answer share it, as `orrery regions` shows.

terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }
}

variable "zone_id" {
  description = "The hosted zone."
  type        = string
}

variable "name" {
  description = "What readers ask for, as feed.example.org."
  type        = string
}

variable "regions" {
  description = "By region: the balancer's name and zone, and the name that its own certificate is for."
  type = map(object({
    balancer      = string
    balancer_zone = string
    host          = string
  }))
}

resource "aws_route53_health_check" "traffic" {
  for_each          = var.regions
  type              = "HTTPS"
  fqdn              = each.value.host
  port              = 443
  resource_path     = "/healthz/traffic"
  request_interval  = 10
  failure_threshold = 2
  enable_sni        = true
  measure_latency   = true
  tags              = { Name = "${var.name} ${each.key}" }
}

resource "aws_route53_record" "region" {
  # checkov:skip=CKV2_AWS_23:the balancer is made by Kubernetes, not here
  for_each = var.regions
  zone_id  = var.zone_id
  name     = each.value.host
  type     = "A"
  alias {
    name                   = each.value.balancer
    zone_id                = each.value.balancer_zone
    evaluate_target_health = false
  }
}

# Equal weights: which of the healthy ones has traffic is said by the health checks, not by DNS. If none is healthy Route 53 gives
# out all of them, and readers that go round by themselves (`orrery tail --url A --url B`) find the first that is back.
resource "aws_route53_record" "readers" {
  # checkov:skip=CKV2_AWS_23:the balancer is made by Kubernetes, not here
  for_each        = var.regions
  zone_id         = var.zone_id
  name            = var.name
  type            = "A"
  set_identifier  = each.key
  health_check_id = aws_route53_health_check.traffic[each.key].id
  weighted_routing_policy {
    weight = 100
  }
  alias {
    name                   = each.value.balancer
    zone_id                = each.value.balancer_zone
    evaluate_target_health = true
  }
}

output "health_checks" {
  description = "Identities of the checks, by region."
  value       = { for region, check in aws_route53_health_check.traffic : region => check.id }
}
