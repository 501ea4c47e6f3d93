# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""scripts/check_layers.py finds each kind of violation and nothing else."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "check_layers.py"

# Everything here is allowed.
TREE = {
    "include/keelback/error.h": "",
    "include/keelback/api.h": '#include "keelback/error.h"\n',
    "bpf/shared/types.h": "#include <linux/types.h>\n",
    "bpf/shared/events.h": '#include "types.h"\n',
    "user/base/error.h": '#include "keelback/error.h"\n',
    "user/system/process.h": '#include "base/error.h"\n#include "bpf/shared/events.h"\n#include <unistd.h>\n',
    "user/python/image.h": '#include "system/process.h"\n#include "../base/error.h"\n',
    "user/kernel/load.c": '#include "collect.skel.h"\n#include "embed/flame.html.h"\n#include "ring.h"\n',
    "user/kernel/ring.h": "",
    "user/api/api.c": '#include "python/image.h"\n#include "keelback/api.h"\n',
    "user/tui/top.h": '#include "keelback/api.h"\n',
    "user/cli/main.c": '#include "tui/top.h"\n#include "base/error.h"\n#include "keelback/api.h"\n',
}


class CheckLayers(unittest.TestCase):
    def run_on(self, **changed):
        """The script's exit status and output on the tree with some files changed (_ for / and __ for .)."""
        files = dict(TREE)
        for name, text in changed.items():
            files[name.replace("__", ".").replace("_", "/")] = text
        with tempfile.TemporaryDirectory() as root:
            for name, text in files.items():
                path = Path(root, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            done = subprocess.run([sys.executable, SCRIPT, root], stdout=subprocess.PIPE, text=True)
        return done.returncode, done.stdout

    def assert_found(self, place, *words, **changed):
        status, output = self.run_on(**changed)
        self.assertEqual(status, 1, output)
        self.assertEqual(output.count("\n"), 1, output)
        self.assertTrue(output.startswith(place + ": "), output)
        for word in words:
            self.assertIn(word, output)

    def test_clean_tree(self):
        self.assertEqual(self.run_on(), (0, ""))

    def test_later_layer(self):
        self.assert_found("user/base/x.c:2", "below user/system", user_base_x__c='\n#include "system/process.h"\n')

    def test_sibling(self):
        self.assert_found("user/python/x.c:1", "siblings", user_python_x__c='#include "kernel/ring.h"\n')

    def test_relative_path(self):
        self.assert_found("user/base/x.c:1", "below", user_base_x__c='#include "../python/image.h"\n')

    def test_path_from_root(self):
        self.assert_found("user/base/x.c:1", "below", user_base_x__c='#include "user/python/image.h"\n')

    def test_command_line_past_the_public_interface(self):
        self.assert_found("user/cli/x.c:1", "public interface", user_cli_x__c='#include "python/image.h"\n')
        self.assert_found("user/tui/x.c:1", "public interface", user_tui_x__c='#include "bpf/shared/types.h"\n')

    def test_live_view_includes_command_line(self):
        self.assert_found("user/tui/x.c:1", "user/cli", user_tui_x__c='#include "cli/x.h"\n', user_cli_x__h="")

    def test_shared_includes_user_space(self):
        self.assert_found("bpf/shared/x.h:1", "nothing outside", bpf_shared_x__h='#include "user/base/error.h"\n')

    def test_shared_includes_system_header(self):
        self.assert_found("bpf/shared/x.h:1", "<stdio.h>", bpf_shared_x__h="#include <stdio.h>\n")

    def test_public_header_includes_private_one(self):
        self.assert_found(
            "include/keelback/x.h:1", "nothing outside", include_keelback_x__h='#include "base/error.h"\n'
        )

    def test_bpf_program_in_user_space(self):
        self.assert_found(
            "user/kernel/x.c:1", "no layer", user_kernel_x__c='#include "bpf/common/m.h"\n', bpf_common_m__h=""
        )

    def test_unknown_layer(self):
        self.assert_found("user/odds/x.c:1", "not a layer", user_odds_x__c='#include "base/error.h"\n')

    def test_missing_header(self):
        self.assert_found("user/base/x.c:1", "not found", user_base_x__c='#include "nowhere.h"\n')

    def test_circle(self):
        self.assert_found(
            "user/base/b.h:1",
            "circle: user/base/a.h → user/base/b.h → user/base/a.h",
            user_base_a__h='#include "b.h"\n',
            user_base_b__h='#include "base/a.h"\n',
        )

    def test_comments_do_not_count(self):
        text = '/*\n#include "cli/main.h"\n*/\n// #include "api/x.h"\n'
        self.assertEqual(self.run_on(user_base_x__c=text), (0, ""))


if __name__ == "__main__":
    unittest.main()
