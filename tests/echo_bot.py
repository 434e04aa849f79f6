"""A bot as somebody writes it from docs/BOTS.md: says again what begins with "echo ".

    python3 echo_bot.py securechat rooms --json '#ops'
"""

import json
import subprocess
import sys

client = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
for row in client.stdout:
    event = json.loads(row)
    if event["event"] != "line" or not event["live"] or event["mine"] or event["bad"] is not None:
        continue
    if event["kind"] == "text" and event["text"].startswith("echo "):
        answer = {"command": "say", "room": event["room"], "text": event["text"].removeprefix("echo ")}
        client.stdin.write(json.dumps(answer) + "\n")
        client.stdin.flush()
