#!/usr/bin/env python3
"""Writes next.tsv and offsets.tsv, what schedule/ is tested against: next times as a slow and plain
reading of docs/workflows.md gives them, with the zones of Python's zoneinfo. It looks at every minute
that a clock on the wall can show.

next.tsv: cron, zone, after, and the five next times, in seconds of UTC.
offsets.tsv: zone, seconds of UTC, seconds east."""
import os
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

HERE = os.path.dirname(os.path.abspath(__file__))
MINUTE = timedelta(minutes=1)
DAYS = 400
COUNT = 5


def numbers(field, least, most):
    out = set()
    for part in field.split(","):
        body, _, step = part.partition("/")
        if body == "*":
            first, last = least, most
        elif "-" in body:
            first, last = map(int, body.split("-"))
        else:
            first = int(body)
            last = most if step else first
        out.update(range(first, last + 1, int(step or 1)))
    return out


class Cron:
    def __init__(self, text):
        minute, hour, day, month, weekday = text.split()
        self.minutes, self.hours = numbers(minute, 0, 59), numbers(hour, 0, 23)
        self.days, self.months = numbers(day, 1, 31), numbers(month, 1, 12)
        self.weekdays = {n % 7 for n in numbers(weekday, 0, 7)}
        self.either = not day.startswith("*") and not weekday.startswith("*")
        self.every_hour = len(self.hours) == 24

    def has_day(self, wall):
        day, weekday = wall.day in self.days, wall.isoweekday() % 7 in self.weekdays
        return wall.month in self.months and ((day or weekday) if self.either else (day and weekday))


def utc(wall, zone, fold):
    return wall.replace(tzinfo=zone, fold=fold).astimezone(timezone.utc)


def moments(wall, zone, every_hour):
    """When the clock shows it; of a time that it skips, the moment of the skip."""
    first, second = utc(wall, zone, 0), utc(wall, zone, 1)
    if first.astimezone(zone).replace(tzinfo=None) == wall:
        return {first, second} if every_hour and second > first else {first}
    moment = second  # fold=1 in a gap reads it with the later offset: before the skip
    while moment.astimezone(zone).replace(tzinfo=None) < wall:
        moment += MINUTE
    return {moment}


def next_times(text, zone, after):
    cron, found = Cron(text), set()
    day = after.astimezone(zone).replace(tzinfo=None, hour=0, minute=0, second=0) - timedelta(days=3)
    for _ in range(DAYS):
        if cron.has_day(day):
            for hour in sorted(cron.hours):
                for minute in sorted(cron.minutes):
                    wall = day.replace(hour=hour, minute=minute)
                    found |= {m for m in moments(wall, zone, cron.every_hour) if m > after}
        day += timedelta(days=1)
        if len(found) > COUNT and utc(day, zone, 0) - timedelta(days=3) > sorted(found)[COUNT]:
            break
    return [int(m.timestamp()) for m in sorted(found)[:COUNT]]


CRONS = ["* * * * *", "*/15 * * * *", "0 * * * *", "30 2 * * *", "0 9 * * 1-5", "30 1 * * *", "0 0 * * *",
         "5 0 13 * 5", "0 12 */10 * 1", "15 3 1,15 2-11/3 *", "59 23 31 * *", "0 0-4 * * 0,6", "0 4 29 2 *"]
PLACES = [("UTC", "2026-02-27T23:58:30"),
          ("Europe/Berlin", "2026-03-28T23:30:00"), ("Europe/Berlin", "2026-10-24T22:59:59"),
          ("Europe/Berlin", "2026-10-25T00:30:00"), ("Europe/Berlin", "2026-10-25T01:10:00"),
          ("Europe/Berlin", "2045-10-29T00:30:00"), ("Europe/Berlin", "2044-03-27T00:59:00"),
          ("America/New_York", "2026-03-08T06:58:00"), ("America/New_York", "2026-11-01T05:20:00"),
          ("Australia/Lord_Howe", "2025-10-04T15:00:00"), ("Australia/Lord_Howe", "2026-04-04T14:40:00"),
          ("Europe/Dublin", "2026-03-29T00:15:00"), ("Europe/Dublin", "2041-10-27T00:15:00"),
          ("America/St_Johns", "2010-11-07T02:20:00"), ("America/Sao_Paulo", "2018-11-04T02:00:00"),
          ("America/Sao_Paulo", "2018-02-18T01:30:00"), ("Pacific/Apia", "2011-12-30T08:00:00"),
          ("Asia/Kathmandu", "2026-05-05T05:05:05"), ("Africa/Casablanca", "2024-03-10T01:30:00"),
          ("Africa/Casablanca", "2024-04-14T00:30:00")]


def main():
    with open(os.path.join(HERE, "next.tsv"), "w", encoding="ascii") as out:
        for name, text in PLACES:
            after = datetime.fromisoformat(text).replace(tzinfo=timezone.utc)
            for cron in CRONS:
                times = next_times(cron, ZoneInfo(name), after)
                if len(times) == COUNT:
                    out.write("\t".join([cron, name, str(int(after.timestamp())), *map(str, times)]) + "\n")
    with open(os.path.join(HERE, "offsets.tsv"), "w", encoding="ascii") as out:
        for name in sorted({name for name, _ in PLACES} | {"Asia/Tehran", "America/Santiago", "Pacific/Chatham"}):
            for year in [1890, 1916, 1945, 1970, 1985, 2000, 2011, 2018, 2024, 2026, 2037, 2038, 2055, 2400]:
                for month in (1, 3, 4, 7, 10, 11):
                    moment = datetime(year, month, 28, 12, 34, 56, tzinfo=timezone.utc)
                    offset = int(moment.astimezone(ZoneInfo(name)).utcoffset().total_seconds())
                    out.write(f"{name}\t{int(moment.timestamp())}\t{offset}\n")


main()
