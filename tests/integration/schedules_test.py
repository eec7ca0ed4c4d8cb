#!/usr/bin/env python3
"""Workflows that start by themselves, by the example that docs/workflows.md explains them with, and a
minute that comes while the coordinator is killed again and again. What a schedule does under other
clocks: schedule/ and coordinator/coordinator_schedules_test.c."""
import datetime
import pathlib
import sys
import time
import zoneinfo

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from cases import main, run_cases
from installation import ROOT, Installation, check, wait_until

MINUTELY = """workflow: minutely
nodes:
  ask: {approve: "Is it time?"}
schedule: "* * * * *"
"""
WRONG = """workflow: wrong
nodes:
  ask: {approve: "Is it time?"}
schedule: {cron: 0 9 * * 1-8, zone: Europe/Nowhere}
"""


def schedule_of(here, workflow):
    return next((item for item in here.json("schedules")["items"] if item["workflow"] == workflow), None)


def executions_of(here, workflow):
    return here.json("executions", "ls", "--workflow", workflow)["items"]


# --- schedule.yaml --------------------------------------------------------------------------------


def the_list(here):
    morning, guest = schedule_of(here, "good_morning"), schedule_of(here, "guest")
    berlin = datetime.datetime.fromisoformat(morning["next_at"].replace("Z", "+00:00")).astimezone(
        zoneinfo.ZoneInfo("Europe/Berlin"))
    check((berlin.hour, berlin.minute) == (8, 30) and berlin.isoweekday() <= 5, morning)
    check(0 < berlin.timestamp() - time.time() < 4 * 86400, morning)
    check((morning["zone"], morning["missed"], morning["overlap"]) == ("Europe/Berlin", "once", "skip"),
          morning)
    check(guest["signal"] == "guest" and guest["next_at"] is None, guest)
    text = here.ctl("schedules", "ls")
    check("30 8 * * mon-fri" in text and "signal guest" in text and "Europe/Berlin" in text, text)


def a_signal_starts(here):
    execution = here.ctl("signal", "guest", "--payload", '{"name": "Ann"}').strip()
    document = here.wait(execution)
    check(document["output"] == "Welcome, Ann", document)
    check(schedule_of(here, "guest")["last_execution"] == execution, "it is the last one")
    run = here.try_ctl("signal", "guest", "--payload", "-", stdin='{"name": "Bob"}')
    check(here.wait(run.stdout.strip())["output"] == "Welcome, Bob", run)


def a_signal_is_sent_once(here):
    args = ("signal", "guest", "--payload", '{"name": "Cy"}', "--idempotency-key", "cy")
    first, second = here.json(*args), here.json(*args)
    check(first == second and len(first["executions"]) == 1, (first, second))


def signals_that_start_nothing(here):
    before = len(executions_of(here, "guest"))
    nobody = here.try_ctl("signal", "nobody")
    check(nobody.returncode == 3 and "schedule: {signal: nobody}" in nobody.stderr, nobody.stderr)
    wrong = here.try_ctl("signal", "guest", "--payload", '{"name": 3}')
    check(wrong.returncode == 2 and "input.name" in wrong.stderr, wrong.stderr)
    missing = here.try_ctl("signal", "guest")
    check(missing.returncode == 2 and "needs the input" in missing.stderr, missing.stderr)
    no_json = here.try_ctl("signal", "guest", "--payload", "{name")
    check(no_json.returncode == 1 and "--payload" in no_json.stderr, no_json.stderr)
    check(len(executions_of(here, "guest")) == before, "nothing started")


def what_is_wrong(here):
    path = here.base / "wrong.yaml"
    path.write_text(WRONG, encoding="utf-8")
    run = here.try_ctl("apply", path)
    check(run.returncode == 2, run)
    check("wrong.yaml:4:28: error: schedule.cron: the day of the week lies outside" in run.stderr, run.stderr)
    check('wrong.yaml:4:37: error: schedule.zone: there is no time zone "Europe/Nowhere"' in run.stderr,
          run.stderr)


# --- a minute and kills ---------------------------------------------------------------------------


def kill_around_the_minute(here):
    """One execution for each minute that comes, wherever the coordinator dies: none twice, none lost."""
    path = here.base / "minutely.yaml"
    path.write_text(MINUTELY, encoding="utf-8")
    here.ctl("apply", path)
    first = schedule_of(here, "minutely")["next_at"]
    due = datetime.datetime.fromisoformat(first.replace("Z", "+00:00")).timestamp()
    time.sleep(max(0.0, due - 1.0 - time.time()))
    while time.time() < due + 2:
        here.kill("coordinatord")
        wait_until(lambda: here.try_ctl("status").returncode == 0, 30, "the coordinator is back")
        time.sleep(0.1)
    wait_until(lambda: executions_of(here, "minutely"), 20, "it has started")
    time.sleep(1)
    found = executions_of(here, "minutely")
    check(len(found) == 1, found)
    event = here.journal(found[0]["id"])[0]
    check(event["by"] == "schedule", event)
    schedule = schedule_of(here, "minutely")
    check(schedule["last_at"] == first and schedule["last_execution"] == found[0]["id"], schedule)
    here.ctl("workflows", "rm", "minutely")
    check(schedule_of(here, "minutely") is None, "it is gone")


CASES = (the_list, a_signal_starts, a_signal_is_sent_once, signals_that_start_nothing, what_is_wrong,
         kill_around_the_minute)


def test():
    with Installation(up=False) as here:
        here.project = ROOT / "examples" / "workflows"
        here.up()
        run_cases(CASES, here)


main(test)
