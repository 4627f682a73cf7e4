"""``python -m tests.bench.peers.node receiver PORT | worker URL``: becomes the peer in Node.js."""

import os
import shutil
import sys
from pathlib import Path

NODE = shutil.which("node")
"""The path of Node.js; None where it is not installed."""

if __name__ == "__main__":
    if NODE is None:
        sys.exit("There is no node in PATH: install Node.js 18 or newer.")
    os.execv(NODE, [NODE, str(Path(__file__).with_name("node_peer.mjs")), *sys.argv[1:]])
