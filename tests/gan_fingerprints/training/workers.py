"""Starts a program as several workers on this machine, as TF_CONFIG describes them."""

import json
import os
import signal
import socket
import subprocess
import sys

from tests.conftest import PROJECT


def free_ports(number):
    """Ports of 127.0.0.1 that nothing listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [x.getsockname()[1] for x in sockets]
    for x in sockets:
        x.close()
    return ports


def start(words, number=2, cwd=PROJECT):
    """The processes of `python3 words…`, each word with its worker's number in place of @."""
    workers = [f"127.0.0.1:{port}" for port in free_ports(number)]
    processes = []
    for index in range(number):
        task = {"type": "worker", "index": index}
        config = json.dumps({"cluster": {"worker": workers}, "task": task})
        own = [sys.executable, *(str(word).replace("@", str(index)) for word in words)]
        processes.append(
            subprocess.Popen(
                own, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env={**os.environ, "TF_CONFIG": config, "OMP_NUM_THREADS": "1"},
            )
        )  # fmt: skip
    return processes


def ends(processes, timeout=240):
    """Waits for all of them; kills those that do not end."""
    done = []
    try:
        for process in processes:
            out, err = process.communicate(timeout=timeout)
            done.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
    finally:
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
    return done


def together(words, number=2, timeout=240, cwd=PROJECT):
    """`start` and `ends`."""
    return ends(start(words, number, cwd), timeout)
