"""What people do in several steps, with the official Python SDK.

    python flows.py target/debug/reference-server

Each flow runs at both kinds of handshake. Where a tool asks before it deletes, the client of the
first asks its user, the other one has no user to ask and uses the token of the preview.
"""

import asyncio
import itertools
import json
import sys

import httpx2
from mcp.types import ElicitResult

from neighbours import website
from server import MODES, Server

TOOLSETS = ["records", "records-extended", "proxy", "school"]


class Desk:
    """Somebody at work: calls that have to go well, and those that must not."""

    def __init__(self, client):
        self.client = client

    async def do(self, tool, **arguments):
        result = await self.client.call_tool(tool, arguments)
        said = result.structured_content
        assert not result.is_error, f"{tool}: {said}"
        return said

    async def cannot(self, tool, code, **arguments):
        result = await self.client.call_tool(tool, arguments)
        said = result.structured_content
        assert result.is_error and said["code"] == code, f"{tool}: {said}"
        return said

    async def read(self, uri):
        result = await self.client.read_resource(uri, cache_mode="bypass")
        return json.loads(result.contents[0].text)


async def enrol(desk, mode):
    """S4-001, S4-003, S4-014, S4-015, S4-066: a new user gets a place in a class."""
    ann = {"email": f"ann.{mode}@example.com", "name": f"Ann {mode}", "role": "student"}
    user = await desk.do("add_user", **ann)
    taken = await desk.cannot("add_user", "email_taken", **ann)
    assert "Email already registered" in taken["message"], taken
    roster = await desk.read("admin://user_roster")
    assert user["user_id"] in [each["id"] for each in roster["users"]], roster

    async def evening():
        classes = (await desk.read("admin://class_list"))["classes"]
        return next(each for each in classes if each["id"] == "org_a-class-1")

    before = await evening()
    seat = {"user_id": user["user_id"], "class_id": before["id"]}
    place = await desk.do("create_enrollment", **seat)
    assert place["status"] == "active", place
    after = await evening()
    assert after["enrolled"] == before["enrolled"] + 1, (before, after)
    assert place["seats_left"] == after["capacity"] - after["enrolled"], (place, after)
    await desk.cannot("create_enrollment", "already_enrolled", **seat)
    info = await desk.do("get_student_info", name=ann["name"])
    assert [each["class_id"] for each in info["enrollments"]] == [before["id"]], info


async def pay(desk, mode):
    """S4-004, S4-005, S4-006, S4-067: what a student owes is charged and written down."""
    name = {"auto": "Ada Abbott", "legacy": "Ben Abbott"}[mode]
    owes = await desk.do("get_student_info", name=name)
    due, student = owes["amount_due"], owes["student_id"]
    assert due > 0, owes
    charge = {"student_id": student, "amount": due, "idempotency_key": f"flow-{mode}"}
    receipt = (await desk.do("process_payment", **charge))["receipt"]
    assert receipt["amount"] == due and receipt["status"] == "captured", receipt
    again = (await desk.do("process_payment", **charge))["receipt"]
    assert again["receipt_number"] == receipt["receipt_number"], "the same key, the same receipt"
    recorded = await desk.do("record_payment", student_id=student, receipt=receipt)
    assert recorded["invoice_status"] == "paid" and recorded["balance"] == 0, recorded
    await desk.cannot("record_payment", "already_recorded", student_id=student, receipt=receipt)
    assert (await desk.do("get_student_info", student_id=student))["amount_due"] == 0


async def notes(desk, mode):
    """S3-003, S3-019, S3-119, S3-007, S3-006, S3-002: from a note to its tombstone."""
    word = f"hedgehog{mode}"
    note = await desk.do("create_note", title="Animals", content=f"A {word} in the garden.")
    uid = note["uid"]
    assert note["version"] == 1, note
    remark = {"content": f"The {word} again!", "parent_type": "note", "parent_uid": uid}
    comment = await desk.do("create_comment", **remark)
    found = await desk.do("search", query=word)
    assert {each["uid"] for each in found["items"]} == {uid, comment["uid"]}, found
    archived = await desk.do("archive_note", uid=uid)
    assert archived["payload"]["status"] == "archived" and archived["version"] == 2, archived
    tombstone = await desk.do("delete_note", uid=uid)
    assert tombstone["uid"] == uid and tombstone["deletedAt"], tombstone
    gone = await desk.cannot("get_note", "gone", uid=uid)
    assert gone["status"] == 410, gone
    await desk.cannot("delete_note", "gone", uid=uid)
    left = await desk.do("get_note", uid=uid, include_deleted=True)
    assert left["deletedAt"] == tombstone["deletedAt"], left
    listed = await desk.do("list_notes", include_deleted=True, limit=1000)
    assert uid in [each["uid"] for each in listed["items"]], listed
    listed = await desk.do("list_notes", limit=1000)
    assert uid not in [each["uid"] for each in listed["items"]], listed
    found = await desk.do("search", query=word)
    assert [each["uid"] for each in found["items"]] == [comment["uid"]], found


async def host(desk, mode, target, proxies):
    """S1-004, S1-009, S1-005: a host is created, visited, found in the logs and deleted."""
    name = f"{mode}.example.test"
    proxy = itertools.cycle(proxies)

    async def visit(path):
        async with httpx2.AsyncClient() as browser:
            return await browser.get(f"http://{next(proxy)}{path}", headers={"Host": name})

    assert (await visit("/early")).status_code == 404
    created = await desk.do("create_proxy", hostname=name, target_url=target)
    assert created["status"] == "created", created
    answer = await visit("/page?secret=x")
    assert answer.status_code == 200 and answer.text.startswith("hello from behind: /page"), answer
    # An entry is written after the answer is sent.
    for _ in range(100):
        logs = (await desk.do("get_logs", level="INFO", hostname=name))["logs"]
        if any(entry["path"] == "/page" for entry in logs):
            break
        await asyncio.sleep(0.1)
    entry = next(entry for entry in logs if entry["path"] == "/page")
    assert entry["status_code"] == 200 and entry["method"] == "GET", entry
    assert "secret" not in json.dumps(logs), logs
    listed = await desk.do("list_proxies", limit=500)
    assert name in [each["hostname"] for each in listed["proxies"]], listed
    if mode == "auto":
        deleted = await desk.do("delete_proxy", hostname=name)
    else:
        preview = await desk.cannot("delete_proxy", "confirmation_required", hostname=name)
        assert (await visit("/still")).status_code == 200, "a preview deletes nothing"
        token = preview["confirm_token"]
        deleted = await desk.do("delete_proxy", hostname=name, confirm_token=token)
    assert deleted["status"] == "deleted", deleted
    # A server that has not deleted it itself hears of it a moment later.
    for _ in range(100):
        late = [(await visit("/late")).status_code for _ in proxies]
        if late == [404] * len(proxies):
            break
        assert len(proxies) > 1, late
        await asyncio.sleep(0.05)
    else:
        raise AssertionError(f"it is still answered: {late}")
    await desk.cannot("delete_proxy", "not_found", hostname=name)


async def flows(server, mode, target):
    asked = []

    async def agree(_, params):
        asked.append(params.message)
        return ElicitResult(action="accept", content={"confirm": True})

    options = {"elicitation_callback": agree} if mode == "auto" else {}
    async with server.client("admin", mode, **options) as client:
        desk = Desk(client)
        await enrol(desk, mode)
        await pay(desk, mode)
        await notes(desk, mode)
        await host(desk, mode, target, server.proxies)
    assert len(asked) == len(options), asked
    print(f"{MODES[mode]}: enrol, pay, notes, host", flush=True)


def main(program):
    with website() as target:
        with Server(program, TOOLSETS, MCP_PROXY__PRIVATE_TARGETS=target) as server:
            for mode in MODES:
                asyncio.run(flows(server, mode, target))


main(sys.argv[1])
