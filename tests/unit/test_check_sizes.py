# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""scripts/check_sizes.py measures C functions right and finds each kind of violation."""

import importlib.util
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "check_sizes.py"
SPDX = "SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause"


def load_script():
    """The script as a module, leaving no byte code beside it."""
    spec = importlib.util.spec_from_file_location("check_sizes", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Functions(unittest.TestCase):
    def functions(self, text):
        return list(load_script().c_functions(text))

    def test_brace_on_its_own_line(self):
        self.assertEqual(self.functions("\nint f(void)\n{\n\treturn 0;\n}\n"), [("f", 2, 5)])

    def test_brace_behind_the_parameters(self):
        self.assertEqual(self.functions("int f(int (*g)(void)) {\n}\n"), [("f", 1, 2)])

    def test_declaration_on_several_lines(self):
        self.assertEqual(self.functions("static int\nf(int a,\n  int b)\n{\n}\n"), [("f", 1, 5)])

    def test_several_with_types_and_tables_between(self):
        text = (
            "struct s {\n\tint a;\n};\n"
            "typedef int (*fn)(int);\n"
            "static const struct s table[] = {\n\t[F(1)] = { 1 },\n};\n"
            "int f(void)\n{\n\tif (1) {\n\t}\n}\n"
            "enum { A, B };\n"
            "int g(void);\n"
            "int h(void)\n{\n}\n"
        )
        self.assertEqual(self.functions(text), [("f", 8, 12), ("h", 15, 17)])

    def test_braces_in_literals_and_comments(self):
        text = "int f(void)\n{\n\tp(\"}{\\\"{\"); c('{'); /* { */ // {\n}\nint g(void)\n{\n}\n"
        self.assertEqual(self.functions(text), [("f", 1, 4), ("g", 5, 7)])

    def test_unbalanced_preprocessor_branches(self):
        text = "int f(void)\n{\n#if A\n\tif (a) {\n#else\n\tif (b) {\n#endif\n\t}\n}\nint g(void)\n{\n}\n"
        self.assertEqual(self.functions(text), [("f", 1, 9), ("g", 10, 12)])

    def test_macro_definitions(self):
        text = "#define M(x) \\\n\tdo { \\\n\t} while (0)\nint f(void)\n{\n}\n"
        self.assertEqual(self.functions(text), [("f", 4, 6)])

    def test_bpf_programs(self):
        text = 'SEC("tp_btf/x")\nint BPF_PROG(on_x, int a)\n{\n}\n\nSEC("perf_event")\nint g(void *c)\n{\n}\n'
        self.assertEqual(self.functions(text), [("on_x", 1, 4), ("g", 6, 9)])

    def test_attributes(self):
        text = "static int f(int a) __attribute__((format(printf, 1, 2)))\n{\n}\n"
        self.assertEqual(self.functions(text), [("f", 1, 3)])


class Limits(unittest.TestCase):
    def run_on(self, name, text, *options):
        with tempfile.TemporaryDirectory() as root:
            path = Path(root, name)
            path.parent.mkdir(parents=True)
            path.write_text(text)
            done = subprocess.run([sys.executable, SCRIPT, *options, root], stdout=subprocess.PIPE, text=True)
        return done.returncode, done.stdout

    def test_within_limits(self):
        body = "\tx;\n" * 77
        self.assertEqual(self.run_on("user/base/a.c", f"// {SPDX}\nint f(void)\n{{\n{body}}}\n"), (0, ""))
        self.assertEqual(self.run_on("tests/a.py", f"# {SPDX}\n" + "\n" * 599), (0, ""))

    def test_long_file(self):
        self.assertEqual(
            self.run_on("tests/a.py", f"# {SPDX}\n" + "\n" * 600), (1, "tests/a.py:601: 601 lines, the limit is 600\n")
        )

    def test_long_function(self):
        status, output = self.run_on("bpf/a.bpf.c", f"// {SPDX}\nint f(void)\n{{\n" + "\tx;\n" * 78 + "}\n")
        self.assertEqual((status, output), (1, "bpf/a.bpf.c:2: f has 81 lines, the limit is 80\n"))

    def test_no_licence(self):
        for name in ("user/format/view.html", "scripts/a.sh", "include/keelback/a.h"):
            status, output = self.run_on(name, "\n" * 5 + SPDX)
            self.assertEqual(status, 1)
            self.assertTrue(output.startswith(f"{name}:1: "), output)

    def test_data_is_exempt(self):
        self.assertEqual(self.run_on("tests/golden/view.html", "\n" * 700), (0, ""))

    def test_summary(self):
        status, output = self.run_on("user/base/a.c", f"// {SPDX}\nint f(void)\n{{\n}}\n", "-v")
        self.assertEqual(status, 0)
        self.assertIn("1 functions: median 3 lines, longest 3 (user/base/a.c:2 f)", output)


if __name__ == "__main__":
    unittest.main()
