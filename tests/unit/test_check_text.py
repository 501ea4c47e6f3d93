# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""scripts/check_text.sh finds each kind of forbidden text, and not what only looks like it."""

import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "check_text.sh"


class CheckText(unittest.TestCase):
    def run_on(self, text, name="docs/x.md"):
        """The script's exit status and output in a repository of itself and one file."""
        with tempfile.TemporaryDirectory() as root:
            for directory in ("scripts", "docs", "tests/golden"):
                Path(root, directory).mkdir(parents=True)
            shutil.copy(SCRIPT, Path(root, "scripts"))
            Path(root, name).write_text(text)
            subprocess.run(["git", "init", "-q", root], check=True)
            subprocess.run(["git", "-C", root, "add", "."], check=True)
            done = subprocess.run(
                [Path(root, "scripts/check_text.sh")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        return done.returncode, done.stdout

    def test_forbidden(self):
        # In pieces, because this file is checked, too.
        for text in (
            "see /" + "work/x",
            "'/" + "root/.pyenv'",
            "http://deb" + ".debian.org/debian",
            "from PyPI" + ".org",
            "registry.npm" + "js.org",
            "trailing ",
            "trailing\t",
            "<" * 7 + " HEAD",
            ">" * 7 + " other",
        ):
            status, output = self.run_on(text + "\n")
            self.assertEqual(status, 1, text)
            self.assertIn("docs/x.md:1:", output)

    def test_allowed(self):
        for text in ("/proc/PID/root/usr", "/proc/%d/root/", "/proc/{pid}/root/x", "Title\n=======", "network/x", "a | b"):
            self.assertEqual(self.run_on(text + "\n"), (0, ""), text)

    def test_golden_files_may_have_trailing_space(self):
        self.assertEqual(self.run_on("x \n", "tests/golden/x.txt"), (0, ""))


if __name__ == "__main__":
    unittest.main()
