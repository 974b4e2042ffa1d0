"""That a name which is not declared is found, of each kind."""

import terraform_refs


def complaints(tmp_path, text: str) -> list[str]:
    inner = tmp_path / "inner"
    inner.mkdir(exist_ok=True)
    (inner / "main.tf").write_text('variable "size" {}\noutput "id" {\n  value = var.size\n}\n')
    root = tmp_path / "root"
    root.mkdir(exist_ok=True)
    (root / "main.tf").write_text(text)
    seen = {}
    terraform_refs.check(root, seen)
    return seen[root.resolve()]


def test_what_is_whole_is_not_complained_about(tmp_path):
    text = 'module "m" {\n  source = "../inner"\n  size = 1\n}\noutput "o" {\n  value = module.m.id\n}\n'
    assert complaints(tmp_path, text) == []


def test_each_kind_of_missing_name_is_found(tmp_path):
    def check(text: str, expect: str):
        assert complaints(tmp_path, text) == [expect]

    check("locals {\n  a = var.b\n}\n", "var.b is not declared")
    check('variable "v" {}\n', "variable v is used by nothing")
    check('output "o" {\n  value = local.x\n}\n', "local.x is not declared")
    check('output "o" {\n  value = aws_vpc.x.id\n}\n', "aws_vpc.x is not declared")
    check('output "o" {\n  value = data.aws_region.x.region\n}\n', "data.aws_region.x is not declared")
    check('module "m" {\n  source = "../inner"\n}\n', "module m is not given size")
    check('module "m" {\n  source = "../inner"\n  size = 1\n  more = 2\n}\n', "module m has no variable more")
    check('module "m" {\n  source = "../inner"\n  size = 1\n}\noutput "o" {\n  value = module.m.x\n}\n', "module.m has no output x")
