"""Lines on standard error are for whoever reads them, and harmless where nobody does."""

import subprocess
import sys

from stn_bench.stderr import say

PROGRAM = "import sys\nfrom stn_bench.stderr import say\nsys.stdin.read()\nsay('one')\nsay('two')\nprint('done')"


def test_a_line_is_written_at_once(capsys):
    say("a line")
    assert capsys.readouterr() == ("", "a line\n")


def test_once_nobody_reads_words_go_nowhere_and_the_program_goes_on():
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        process.stderr.close()  # as a `tee` that a Ctrl-C ended
        process.stdin.close()
        assert process.stdout.read() == "done\n"
        assert process.wait() == 0
