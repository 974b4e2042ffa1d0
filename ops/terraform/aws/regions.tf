# A region is three modules; providers cannot be given in a loop, so that each stands here.

module "policies_us_east_1" {
  source               = "../modules/policies"
  bucket_arn           = module.bucket_us_east_1.arn
  key_arn              = module.bucket_us_east_1.key_arn
  account              = var.account
  prefix               = var.prefix
  maintenance_role_arn = var.maintenance_role_arn
  oidc_provider        = module.region_us_east_1.oidc_provider
}

module "bucket_us_east_1" {
  source          = "../modules/aws-bucket"
  providers       = { aws = aws, aws.copy = aws.us_west_2 }
  bucket          = module.plan.regions["us-east-1"].bucket
  copy            = module.plan.regions["us-east-1"].copy
  prefix          = var.prefix
  account         = var.account
  bucket_policy   = module.policies_us_east_1.bucket_policy
  lifecycle_rules = module.policies_us_east_1.lifecycle_rules
}

module "region_us_east_1" {
  source          = "../modules/aws-region"
  providers       = { aws = aws }
  region          = module.plan.regions["us-east-1"]
  account         = var.account
  api_cidrs       = var.api_cidrs
  seccomp_profile = local.seccomp
  role_policies   = module.policies_us_east_1.role_policies
  trust_policies  = module.policies_us_east_1.trust_policies
}

module "policies_us_west_2" {
  source               = "../modules/policies"
  bucket_arn           = module.bucket_us_west_2.arn
  key_arn              = module.bucket_us_west_2.key_arn
  account              = var.account
  prefix               = var.prefix
  maintenance_role_arn = var.maintenance_role_arn
  oidc_provider        = module.region_us_west_2.oidc_provider
}

module "bucket_us_west_2" {
  source          = "../modules/aws-bucket"
  providers       = { aws = aws.us_west_2, aws.copy = aws.eu_west_1 }
  bucket          = module.plan.regions["us-west-2"].bucket
  copy            = module.plan.regions["us-west-2"].copy
  prefix          = var.prefix
  account         = var.account
  bucket_policy   = module.policies_us_west_2.bucket_policy
  lifecycle_rules = module.policies_us_west_2.lifecycle_rules
}

module "region_us_west_2" {
  source          = "../modules/aws-region"
  providers       = { aws = aws.us_west_2 }
  region          = module.plan.regions["us-west-2"]
  account         = var.account
  api_cidrs       = var.api_cidrs
  seccomp_profile = local.seccomp
  role_policies   = module.policies_us_west_2.role_policies
  trust_policies  = module.policies_us_west_2.trust_policies
}

module "policies_eu_west_1" {
  source               = "../modules/policies"
  bucket_arn           = module.bucket_eu_west_1.arn
  key_arn              = module.bucket_eu_west_1.key_arn
  account              = var.account
  prefix               = var.prefix
  maintenance_role_arn = var.maintenance_role_arn
  oidc_provider        = module.region_eu_west_1.oidc_provider
}

module "bucket_eu_west_1" {
  source          = "../modules/aws-bucket"
  providers       = { aws = aws.eu_west_1, aws.copy = aws }
  bucket          = module.plan.regions["eu-west-1"].bucket
  copy            = module.plan.regions["eu-west-1"].copy
  prefix          = var.prefix
  account         = var.account
  bucket_policy   = module.policies_eu_west_1.bucket_policy
  lifecycle_rules = module.policies_eu_west_1.lifecycle_rules
}

module "region_eu_west_1" {
  source          = "../modules/aws-region"
  providers       = { aws = aws.eu_west_1 }
  region          = module.plan.regions["eu-west-1"]
  account         = var.account
  api_cidrs       = var.api_cidrs
  seccomp_profile = local.seccomp
  role_policies   = module.policies_eu_west_1.role_policies
  trust_policies  = module.policies_eu_west_1.trust_policies
}
