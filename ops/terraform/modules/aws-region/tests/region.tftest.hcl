mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_region" {
    defaults = { id = "us-east-1", name = "us-east-1" }
  }
}

variables {
  region = {
    cluster    = "orrery-us-east-1"
    cidr       = "10.10.0.0/16"
    private    = { us-east-1a = "10.10.0.0/18", us-east-1b = "10.10.64.0/18", us-east-1c = "10.10.128.0/18" }
    public     = { us-east-1a = "10.10.192.0/24", us-east-1b = "10.10.193.0/24", us-east-1c = "10.10.194.0/24" }
    peer_cidrs = ["10.20.0.0/16", "10.30.0.0/16"]
    bucket     = "orrery-us-east-1"
    roles      = { sink = "orrery-us-east-1-sink", gateway = "orrery-us-east-1-gateway" }
  }
  account         = "123456789012"
  seccomp_profile = "{\"defaultAction\":\"SCMP_ACT_ERRNO\"}"
  role_policies   = { sink = "{}", gateway = "{}" }
  trust_policies  = { sink = "{}", gateway = "{}" }
}

run "the_api_is_closed_until_somebody_says_for_whom" {
  command = plan
  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_private_access && !aws_eks_cluster.this.vpc_config[0].endpoint_public_access
    error_message = "the cluster's API is public by default"
  }
}

run "the_api_is_open_to_those_who_are_named" {
  command = plan
  variables {
    api_cidrs = ["192.0.2.0/24"]
  }
  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_public_access && tolist(aws_eks_cluster.this.vpc_config[0].public_access_cidrs) == tolist(["192.0.2.0/24"])
    error_message = "the cluster's API is open to others than those who are named"
  }
}

run "a_zone_that_is_lost_takes_no_others_way_out" {
  command = plan
  assert {
    condition     = length(aws_nat_gateway.this) == 3 && length(aws_route_table.private) == 3
    error_message = "zones share a way out"
  }
  assert {
    condition     = aws_vpc_endpoint.s3.service_name == "com.amazonaws.us-east-1.s3"
    error_message = "the store is reached by another way than the region's own endpoint"
  }
}

run "machines_are_as_pods_need_them" {
  command = plan
  assert {
    condition     = alltrue([for role, name in var.region.roles : aws_iam_role.node[role].name == name])
    error_message = "a service account finds no role of the name that the chart gives"
  }
  assert {
    condition     = aws_launch_template.machines.metadata_options[0].http_tokens == "required" && aws_launch_template.machines.metadata_options[0].http_put_response_hop_limit == 1
    error_message = "a pod may ask for its machine's identity"
  }
  assert {
    condition     = strcontains(base64decode(aws_launch_template.machines.user_data), base64encode(var.seccomp_profile))
    error_message = "machines have another seccomp profile than the one that was given"
  }
  assert {
    condition     = aws_eks_node_group.this["serving"].capacity_type == "ON_DEMAND" && aws_eks_node_group.this["work"].capacity_type == "SPOT"
    error_message = "readers are served by machines that may be taken away"
  }
  assert {
    condition     = jsondecode(aws_eks_addon.network.configuration_values).enableNetworkPolicy == "true"
    error_message = "nobody enforces network policies"
  }
}
