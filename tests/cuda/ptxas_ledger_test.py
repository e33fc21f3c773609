"""tools/ptxas-ledger, with what ptxas says played to it."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

LEDGER = pathlib.Path(__file__).resolve().parents[2] / "tools" / "ptxas-ledger"
SAID = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_ZN5alder4cuda5twiceIfEEvT_' for 'sm_90a'
ptxas info    : Function properties for _ZN5alder4cuda5twiceIfEEvT_
    {stack} bytes stack frame, {out} bytes spill stores, {into} bytes spill loads
ptxas info    : Used {registers} registers, used 1 barriers, {shared} bytes smem, 360 bytes cmem[0]
"""


def said(registers=40, stack=0, out=0, into=0, shared=128):
    return SAID.format(registers=registers, stack=stack, out=out, into=into, shared=shared)


class LedgerTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.build = pathlib.Path(folder.name)
        self.nvcc("13.0.88")
        entry = {"directory": str(self.build), "file": f"{self.build}/cuda/twice.cu",
                 "command": f"{self.build}/nvcc -c twice.cu -o twice.o"}
        (self.build / "compile_commands.json").write_text(json.dumps([entry]))
        self.compile(said())
        self.assertEqual(self.run_ledger("update").returncode, 0)

    def nvcc(self, version):
        """A compiler that says what `said.txt` says, and a warning."""
        path = self.build / "nvcc"
        path.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo "release, V{version}"; exit; fi\n'
                        f"cat {self.build}/said.txt >&2\necho 'a warning' >&2\n")
        path.chmod(0o755)

    def compile(self, text):
        (self.build / "said.txt").write_text(text)
        return subprocess.run([sys.executable, LEDGER, "record", self.build / "nvcc", "-c", "twice.cu", "-o", "twice.o"],
                              cwd=self.build, capture_output=True, text=True, check=True)

    def run_ledger(self, action):
        command = [sys.executable, LEDGER, action, "--build", self.build, "--ledger", self.build / "ledger.tsv"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def fails_with(self, text):
        result = self.run_ledger("check")
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn(text, result.stdout + result.stderr)

    def test_a_build_like_the_ledger_passes(self):
        result = self.run_ledger("check")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("1 kernels, no spills", result.stdout)

    def test_recording_lets_warnings_through_and_keeps_the_rest(self):
        self.assertEqual(self.compile(said()).stderr, "a warning\n")

    def test_names_are_readable(self):
        self.assertIn("sm_90a\t40\t0\t0\t0\t128\ttwice<float>", (self.build / "ledger.tsv").read_text())

    def test_fewer_registers_pass(self):
        self.compile(said(registers=32))
        self.assertEqual(self.run_ledger("check").returncode, 0)

    def test_a_spill_fails_even_when_the_ledger_has_it(self):
        self.compile(said(stack=8, out=4, into=4))
        self.run_ledger("update")
        self.fails_with("sm_90a twice<float>: spills 4 bytes out, 4 in")

    def test_growth_fails(self):
        self.compile(said(registers=41, shared=256))
        self.fails_with("sm_90a twice<float>: registers 40 -> 41")
        self.fails_with("sm_90a twice<float>: shared 128 -> 256")

    def test_serialised_wgmma_fails(self):
        self.compile("ptxas info : (C7510) Potential Performance Loss: wgmma ...\n" + said())
        self.fails_with("serialised wgmma")

    def test_kernels_come_and_go_only_by_update(self):
        self.compile(said() + said().replace("twiceIfE", "twiceIdE"))
        self.fails_with("sm_90a twice<double>: not in the ledger")
        self.compile(said().replace("twiceIfE", "twiceIdE"))
        self.fails_with("sm_90a twice<float>: in the ledger, but no longer built")

    def test_another_compiler_may_use_more_but_not_spill(self):
        self.nvcc("14.1.0")
        self.compile(said(registers=50))
        result = self.run_ledger("check")
        self.assertEqual(result.returncode, 0)
        self.assertIn("nvcc 14.1.0 instead of 13.0.88: sm_90a twice<float>: registers 40 -> 50", result.stdout)
        self.compile(said(registers=50, out=8, into=8))
        self.fails_with("spills 8 bytes out")

    def test_an_unbuilt_file_is_named(self):
        (self.build / "twice.o.ptxas").unlink()
        self.fails_with("twice.o.ptxas; build everything first")


if __name__ == "__main__":
    unittest.main()
