# Ways between the regions' networks: what gateways and coordinators of different regions need of each other, and no more passes
# the network policies. A full mesh of three.

resource "aws_vpc_peering_connection" "east_west" {
  vpc_id      = module.region_us_east_1.vpc_id
  peer_vpc_id = module.region_us_west_2.vpc_id
  peer_region = "us-west-2"
}

resource "aws_vpc_peering_connection_accepter" "east_west" {
  provider                  = aws.us_west_2
  vpc_peering_connection_id = aws_vpc_peering_connection.east_west.id
  auto_accept               = true
}

resource "aws_vpc_peering_connection" "east_europe" {
  vpc_id      = module.region_us_east_1.vpc_id
  peer_vpc_id = module.region_eu_west_1.vpc_id
  peer_region = "eu-west-1"
}

resource "aws_vpc_peering_connection_accepter" "east_europe" {
  provider                  = aws.eu_west_1
  vpc_peering_connection_id = aws_vpc_peering_connection.east_europe.id
  auto_accept               = true
}

resource "aws_vpc_peering_connection" "west_europe" {
  provider    = aws.us_west_2
  vpc_id      = module.region_us_west_2.vpc_id
  peer_vpc_id = module.region_eu_west_1.vpc_id
  peer_region = "eu-west-1"
}

resource "aws_vpc_peering_connection_accepter" "west_europe" {
  provider                  = aws.eu_west_1
  vpc_peering_connection_id = aws_vpc_peering_connection.west_europe.id
  auto_accept               = true
}

locals {
  # By region: the network of each other one, and over which connection.
  us_east_1_ways = { us-west-2 = aws_vpc_peering_connection.east_west.id, eu-west-1 = aws_vpc_peering_connection.east_europe.id }
  us_west_2_ways = { us-east-1 = aws_vpc_peering_connection.east_west.id, eu-west-1 = aws_vpc_peering_connection.west_europe.id }
  eu_west_1_ways = { us-east-1 = aws_vpc_peering_connection.east_europe.id, us-west-2 = aws_vpc_peering_connection.west_europe.id }
}

resource "aws_route" "us_east_1" {
  for_each                  = { for pair in setproduct(["0", "1", "2"], keys(local.us_east_1_ways)) : join(" ", pair) => pair }
  route_table_id            = module.region_us_east_1.route_table_ids[tonumber(each.value[0])]
  destination_cidr_block    = module.plan.regions[each.value[1]].cidr
  vpc_peering_connection_id = local.us_east_1_ways[each.value[1]]
}

resource "aws_route" "us_west_2" {
  provider                  = aws.us_west_2
  for_each                  = { for pair in setproduct(["0", "1", "2"], keys(local.us_west_2_ways)) : join(" ", pair) => pair }
  route_table_id            = module.region_us_west_2.route_table_ids[tonumber(each.value[0])]
  destination_cidr_block    = module.plan.regions[each.value[1]].cidr
  vpc_peering_connection_id = local.us_west_2_ways[each.value[1]]
}

resource "aws_route" "eu_west_1" {
  provider                  = aws.eu_west_1
  for_each                  = { for pair in setproduct(["0", "1", "2"], keys(local.eu_west_1_ways)) : join(" ", pair) => pair }
  route_table_id            = module.region_eu_west_1.route_table_ids[tonumber(each.value[0])]
  destination_cidr_block    = module.plan.regions[each.value[1]].cidr
  vpc_peering_connection_id = local.eu_west_1_ways[each.value[1]]
}
