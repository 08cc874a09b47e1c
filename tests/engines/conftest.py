"""A Slurm of one node, which is this machine, started for the tests and stopped after them."""

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
TRAIN = Path(sys.executable).with_name("stn-train")
CONFIGURATION = """\
ClusterName=engines
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
AuthType=auth/munge
# what is put into the queue again waits for cred_expire, 120 s by default
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
# no cgroups and no accounting: containers have neither
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=batch_sched_delay=1,sched_interval=5,sched_min_interval=100000
JobRequeue=1
KillWait=2
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={processors} RealMemory={megabytes}
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    """A function of words and an environment: starts `stn-train WORDS` in an empty folder; stopped after the test."""
    monkeypatch.chdir(tmp_path)
    with ExitStack() as stack:

        def command(*words, env=None):
            process = subprocess.Popen([TRAIN, *words], env=env, stderr=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield command


@pytest.fixture
def wait_for():
    """A function that waits for a function's first true value, and returns it."""

    def wait(condition):
        while not (value := condition()):
            time.sleep(0.1)
        return value

    return wait


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """The environment of commands that are to find a Slurm whose one node is this machine."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (Debian: slurmctld slurmd slurm-client munge)")
    if os.geteuid() != 0:
        pytest.skip("slurmd starts the jobs of every user, so it must be started by root")
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))
    configuration = folder / "slurm.conf"
    ports = free_ports(2)
    configuration.write_text(
        CONFIGURATION.format(
            host=socket.gethostname().split(".")[0],
            folder=folder,
            controller_port=ports[0],
            node_port=ports[1],
            processors=os.cpu_count(),
            megabytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        )
    )
    munged = ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket"]
    munged += [f"--{name}-file={folder}/munge.{name}" for name in ("pid", "log", "seed")]
    environment = {**os.environ, "PATH": PATH, "SLURM_CONF": str(configuration)}
    with ExitStack() as stack:
        for daemon in (munged, ["slurmctld", "-D"], ["slurmd", "-D"]):
            stack.enter_context(running(daemon, environment, folder / f"{daemon[0]}.output"))
        deadline = time.monotonic() + 60
        while not idle(environment):
            if time.monotonic() > deadline:
                said = "\n".join(f"{path.name}: {path.read_text()[-2000:]}" for path in folder.glob("*.output"))
                pytest.skip(f"Slurm does not start here:\n{said}")
            time.sleep(0.5)
        yield environment
        # a test that failed may have left jobs, which would outlive the daemons
        subprocess.run(["scancel", "--user=root"], env=environment, check=False)
        deadline = time.monotonic() + 20
        while not idle(environment) and time.monotonic() < deadline:
            time.sleep(0.5)


@contextmanager
def running(command, environment, output):
    """A daemon while the context lasts; what it says goes to a file."""
    with output.open("w") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    time.sleep(0.5)  # each needs the one before
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def idle(environment):
    done = subprocess.run(["sinfo", "--noheader", "--format=%T"], env=environment, capture_output=True, text=True)
    return done.stdout.strip() == "idle"


def free_ports(count):
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
