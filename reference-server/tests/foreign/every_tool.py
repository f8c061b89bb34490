"""Every tool of the reference server, with what it takes and with what it does not.

    python every_tool.py target/debug/reference-server

The official Python SDK calls, at both kinds of handshake, and an independent validator judges: every
answer by the output schema that the tool published, every input by its input schema. What it must
refuse is derived from that schema: a member missing, one too many, and for each the wrong type and
the nearest value out of bounds. A tool that this script has no good input for fails it.
"""

import asyncio
import copy
import datetime
import itertools
import json
import re
import sys

from jsonschema import Draft202012Validator as Validator

from neighbours import container_engine
from server import MODES, Server

# Not in any answer: neither what the server is made of, nor what it was sent.
INTERNAL = re.compile(
    r"\.rs\b|panicked|sqlx|sqlite|serde|reqwest|hyper|tokio|\bSELECT\b|\bINSERT\b|Some\(|Err\("
    r"|os error|at line \d|expected struct|/tmp/|/home/"
)
CANARY = "cnry wrong value"
TODAY = datetime.datetime.now(datetime.UTC).date()
SOON = (TODAY + datetime.timedelta(days=14)).isoformat()
NOBODY = "00000000-0000-4000-8000-000000000000"


def good(mode, got):
    """Calls in an order in which each finds what it needs: `(tool, arguments)`. `got` has the
    answers so far, by tool."""
    yield "instainstru_founding_funnel_summary", {"start_date": "2026-01-01"}
    yield "instainstru_founding_stuck_instructors", {"stuck_days": 1, "stage": "registered"}
    yield "instainstru_instructors_list", {"status": "live", "limit": 2}
    cursor = got["instainstru_instructors_list"]["next_cursor"]
    yield "instainstru_instructors_list", {"status": "live", "limit": 2, "cursor": cursor}
    yield "instainstru_instructors_coverage", {"group_by": "service", "top": 3}
    somebody = got["instainstru_instructors_list"]["items"][0]
    yield "instainstru_instructors_detail", {"identifier": somebody["email"]}
    yield "instainstru_instructors_detail", {"identifier": "a"}
    yield "instainstru_search_top_queries", {"limit": 5, "min_count": 1}
    yield "instainstru_search_zero_results", {"limit": 5}
    yield "instainstru_invites_preview", {
        "recipient_emails": [f"{mode}@example.com", f"{mode}@example.com"],
        "expires_in_days": 7,
        "message_note": "Welcome",
    }
    token = got["instainstru_invites_preview"]["data"]["confirm_token"]
    yield "instainstru_invites_send", {"confirm_token": token, "idempotency_key": f"k-{mode}"}
    yield "instainstru_invites_send", {"confirm_token": token, "idempotency_key": f"k-{mode}"}
    yield "instainstru_metrics_describe", {"metric_name": "founding.cap"}

    yield from bookings(mode, got)
    yield from records(got)
    yield from proxy(mode, got)
    yield from school(mode, got)


def bookings(mode, got):
    yield "instainstru_bookings_recent", {"status": "CONFIRMED", "hours": 168, "limit": 100}
    booked = [each["booking_id"] for each in got["instainstru_bookings_recent"]["bookings"]]
    cancelled, moved = booked[:2]
    yield "instainstru_bookings_summary", {"period": "last_7_days"}
    yield "instainstru_bookings_summary", {"start_date": "2026-01-01", "end_date": SOON}
    yield "instainstru_booking_detail", {
        "booking_id": moved,
        "include_messages_summary": True,
        "include_trace_links": True,
    }
    yield "instainstru_booking_force_cancel_preview", {
        "booking_id": cancelled,
        "reason_code": "ADMIN_DISCRETION",
        "note": "Asked by phone",
        "refund_preference": "FULL_CARD",
    }
    yield "instainstru_booking_reschedule_preview", {
        "booking_id": moved,
        "new_date": SOON,
        "new_start_time": {"auto": "14:30", "legacy": "17:30"}[mode],
        "reason": "Ill",
    }
    for change, booking in {"force_cancel": cancelled, "reschedule": moved}.items():
        preview = got[f"instainstru_booking_{change}_preview"]["data"]
        assert preview["eligible"], preview
        yield f"instainstru_booking_{change}_execute", {
            "booking_id": booking,
            "confirm_token": preview["confirm_token"],
            "idempotency_key": preview["idempotency_key"],
        }
    yield "instainstru_revenue_dashboard", {
        "period": "last_month",
        "compare_to": "previous_period",
        "breakdown_by": "category",
    }
    yield "instainstru_payments_pipeline", {}
    yield "instainstru_payments_pending_payouts", {"limit": 5}
    yield "instainstru_cohort_retention", {"user_type": "instructor", "metric": "booking"}
    yield "instainstru_student_signups", {"group_by": "month"}


def records(got):
    creates = {
        "note": {"title": "Chairs", "content": "Twelve of them.", "tags": ["office"]},
        "task": {"title": "Order", "status": "open", "priority": "high", "due_date": "2026-12-24"},
        "comment": {"content": "Done?", "parent_type": "note", "author": "ann"},
        "chat": {"title": "Desk", "participants": ["ann@example.com"]},
        "chat_message": {"content": "Hello", "sender": "ann", "message_type": "text"},
    }
    updates = {
        "note": {"title": "Tables", "content": "Three.", "additional_fields": {"colour": "red"}},
        "task": {"title": "Order now", "status": "done"},
        "comment": {"content": "Yes."},
        "chat": {"title": "Front desk", "description": "Who is there?"},
        "chat_message": {"content": "Hello!"},
    }
    actions = {
        "note": ["pin", "unpin", "archive", "unarchive"],
        "task": ["start", "complete", "reopen"],
        "comment": ["resolve", "reopen"],
        "chat": ["resolve", "reopen"],
        "chat_message": ["mark_read", "mark_delivered"],
    }
    for kind, arguments in creates.items():
        if kind == "comment":
            arguments["parent_uid"] = got["create_note"]["uid"]
        if kind == "chat_message":
            arguments["chat_uid"] = got["create_chat"]["uid"]
        yield f"create_{kind}", arguments
    yield "search", {"query": "chairs", "entities": ["notes"], "filter": "tags:office"}
    yield "aggregate", {"entity": "tasks", "group_by": "status"}
    yield "aggregate", {"entity": "notes", "group_by": "tags", "metric": "max"}
    for kind, arguments in updates.items():
        uid = got[f"create_{kind}"]["uid"]
        yield f"get_{kind}", {"uid": uid}
        yield f"update_{kind}", {"uid": uid, "if_match": 1, **arguments}
        yield f"patch_{kind}", {"uid": uid, "updates": {"colour": "blue"}}
        for action in actions[kind]:
            yield f"process_{kind}", {"uid": uid, "action": action, "metadata": {"why": "so"}}
        yield f"archive_{kind}", {"uid": uid}
        yield f"list_{kind}s", {"limit": 1}
        cursor = got[f"list_{kind}s"]["nextCursor"]
        yield f"list_{kind}s", {"limit": 1000, "cursor": cursor, "include_deleted": True}
    for kind in reversed(updates):
        uid = got[f"create_{kind}"]["uid"]
        yield f"delete_{kind}", {"uid": uid}
        yield f"get_{kind}", {"uid": uid, "include_deleted": True}
    note = {"op": "create", "entity": "notes", "payload": {"title": "t", "content": "c"}}
    missing = {"op": "delete", "entity": "tasks", "uid": NOBODY}
    yield "batch", {"operations": [note, missing], "atomic": False}
    yield "batch", {"operations": [note, missing]}


def proxy(mode, got):
    host = f"{mode}.example.test"
    yield "echo", {"message": "hello"}
    yield "health_check", {}
    yield "create_proxy", {"hostname": host, "target_url": "http://127.0.0.1:9"}
    yield "list_proxies", {"limit": 1, "include_details": True}
    yield "list_certificates", {}
    yield "list_tokens", {}
    yield "list_services", {}
    yield "get_logs", {"lines": 1000, "level": "DEBUG", "hours": 168, "hostname": host}
    yield "run_command", {"command": "env"}
    yield "config_save", {"name": mode, "include_tokens": True, "include_secrets": True}
    yield "config_load", {"name": mode, "force": True}
    yield "summarize_logs", {"hours": 168, "hostname": host}
    yield "delete_proxy", {"hostname": host}


def school(mode, got):
    """Ids are those of the demo data."""
    student = {"email": f"zoe.{mode}@example.com", "name": f"Zoe {mode}", "role": "student"}
    yield "add_user", student
    zoe = got["add_user"]["user_id"]
    yield "create_class", {
        "name": f"Night Owls {mode}",
        "level": "Advanced",
        "capacity": 5,
        "teacher_id": "org_a-teacher-3",
        "schedule": {"auto": "Sun 20:00-21:00", "legacy": "Sun 21:00-22:00"}[mode],
        "start_date": TODAY.isoformat(),
    }
    owls = got["create_class"]["class_id"]
    yield "create_enrollment", {"user_id": zoe, "class_id": owls}
    yield "enroll_student", {"student_id": "org_a-student-21", "class_id": owls}
    yield "modify_class", {"class_id": owls, "capacity": 6}
    yield "record_attendance", {
        "class_id": owls,
        "session_date": TODAY.isoformat(),
        "attendance_records": [{"student_id": zoe, "status": "late", "notes": "The bus"}],
    }
    yield "create_invoice", {
        "student_id": zoe,
        "amount": 300,
        "description": "Books",
        "due_date": SOON,
        "items": [{"description": "Book", "quantity": 3, "unit_price": 100}],
    }
    invoice = got["create_invoice"]["invoice_id"]
    yield "list_invoices", {"student_id": zoe, "status": "pending"}
    yield "get_student_info", {"name": f"zoe {mode}"}
    yield "get_student_info", {"name": "a"}
    pay = {"student_id": zoe, "amount": 100, "idempotency_key": f"pay-{mode}"}
    yield "process_payment", pay
    yield "process_payment", pay
    yield "record_payment", {"student_id": zoe, "receipt": got["process_payment"]["receipt"]}
    yield "record_payment", {"invoice_id": invoice, "amount": 50, "payment_method": "cash"}
    yield "create_booking", {
        "student_id": zoe,
        "teacher_id": "org_a-teacher-1",
        "date": SOON,
        "start_time": {"auto": "15:00", "legacy": "16:00"}[mode],
        "duration_minutes": 45,
    }
    for report in ("user_summary", "class_summary", "attendance_summary", "payment_summary"):
        yield "generate_report", {"report_type": report}
    yield "list_export_templates", {}
    yield "generate_excel_export", {"template_id": "user_roster_v1", "filename": "users"}
    yield "generate_csv_export", {"template_id": "payment_ledger_v1"}
    yield "create_backup", {"include_files": True}
    yield "modify_user", {"user_id": zoe, "status": "suspended"}
    yield "delete_user", {"user_id": zoe, "confirm": True}
    yield "view_audit_log", {"limit": 500, "action_type": "add_user"}


# It may be called ten times an hour, whatever comes of it.
AT_MOST = {"create_backup": 4}


def bad(schema, arguments):
    """`(pointer of what is wrong, arguments)`, each wrong in one place only."""
    for name in schema.get("required", []):
        less = {key: value for key, value in arguments.items() if key != name}
        yield f"/{name}", less
    yield f"/{CANARY}".replace(" ", "_"), arguments | {CANARY.replace(" ", "_"): 1}
    for name, member in schema.get("properties", {}).items():
        present = copy.deepcopy(arguments.get(name))
        for place, value in wrong(member, present):
            yield f"/{name}{place}", arguments | {name: value}


def wrong(schema, present):
    """`(where, value)`: values that the schema does not take, next to those that it does."""
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    others = {"string": CANARY, "integer": 7, "boolean": True, "array": [7], "object": {"x": 7}}
    for kind, value in others.items():
        if kinds and kind not in kinds:
            yield "", value
    if "enum" in schema:
        yield "", CANARY
    if "pattern" in schema or schema.get("format") in ("date", "date-time"):
        yield "", "" if re.search(schema.get("pattern", "^$"), CANARY) else CANARY
    if "minimum" in schema:
        yield "", schema["minimum"] - 1
    if "maximum" in schema:
        yield "", schema["maximum"] + 1
    if schema.get("minLength"):
        yield "", "x" * (schema["minLength"] - 1)
    if "maxLength" in schema:
        yield "", "x" * (schema["maxLength"] + 1)
    if schema.get("minItems"):
        yield "", []
    if "maxItems" in schema and present:
        yield "", present[:1] * (schema["maxItems"] + 1)
    if schema.get("minProperties"):
        yield "", {}
    if "maxProperties" in schema:
        yield "", {f"m{n}": 1 for n in range(schema["maxProperties"] + 1)}
    if isinstance(schema.get("items"), dict) and schema["items"] and present:
        for place, value in inside(schema["items"], present[0]):
            yield f"/0{place}", [value, *present[1:]]
    if "properties" in schema and present:
        yield from inside(schema, present)


def inside(schema, present):
    if isinstance(present, dict):
        yield from bad(schema, present)
    else:
        yield from wrong(schema, present)


class Run:
    """All tools once, at one kind of handshake."""

    def __init__(self, client, tools):
        self.client, self.tools = client, tools
        self.got, self.used, self.refused = {}, {}, 0

    async def go(self, mode):
        for tool, arguments in good(mode, self.got):
            assert tool in self.tools, f"{tool} is not listed any more: take it from this script"
            self.got[tool] = await self.answered(tool, arguments)
            # The fullest input shows most of what can be wrong.
            if len(arguments) >= len(self.used.get(tool, {})):
                self.used[tool] = arguments
        unknown = self.tools.keys() - self.got.keys()
        assert not unknown, f"no good input known: add one to this script for {sorted(unknown)}"
        for name, tool in self.tools.items():
            cases = bad(tool.input_schema, self.used[name])
            for pointer, arguments in itertools.islice(cases, AT_MOST.get(name)):
                await self.is_refused(name, pointer, arguments)

    async def answered(self, name, arguments):
        tool = self.tools[name]
        faults = list(faults_of(tool.input_schema, arguments))
        assert not faults, f"{name} {arguments} is no good input: {faults}"
        result = await self.client.call_tool(name, arguments)
        said = result.structured_content
        if result.is_error and said["code"] == "confirmation_required":
            agreed = arguments | {"confirm_token": said["confirm_token"]}
            result = await self.client.call_tool(name, agreed)
            said = result.structured_content
        assert not result.is_error, f"{name} {arguments}: {said}"
        faults = list(faults_of(tool.output_schema, said))
        assert not faults, f"{name}: not as published: {faults}\n{json.dumps(said)}"
        if name != "echo":
            texts = [block.text for block in result.content if block.type == "text"]
            assert said in [read(text) for text in texts], f"{name}: no mirror in {texts}"
        return said

    async def is_refused(self, name, pointer, arguments):
        sent = json.dumps(arguments)[:200]
        place = f"{name} {pointer}: {sent}"
        schema = self.tools[name].input_schema
        assert list(faults_of(schema, arguments)), f"{place}: the schema allows it"
        result = await self.client.call_tool(name, arguments)
        said = result.structured_content
        assert result.is_error and said["code"] == "invalid_arguments", f"{place}: {said}"
        pointers = [problem["pointer"] for problem in said["problems"]]
        assert set(pointers) == {pointer}, f"{place}: names {pointers}"
        text = " ".join(block.text for block in result.content)
        assert pointer in text, f"{place}: {text}"
        everything = text + json.dumps(said)
        assert not INTERNAL.search(everything), f"{place}: {everything}"
        assert CANARY not in everything, f"{place}: says the value: {everything}"
        self.refused += 1


def faults_of(schema, value):
    checker = Validator.FORMAT_CHECKER
    for error in Validator(schema, format_checker=checker).iter_errors(value):
        yield f"{error.json_path}: {error.message[:200]}"


def read(text):
    try:
        return json.loads(text)
    except ValueError:
        return None


async def every_tool(server, mode):
    async with server.client("admin", mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        for tool in tools.values():
            Validator.check_schema(tool.input_schema)
            Validator.check_schema(tool.output_schema)
        run = Run(client, tools)
        await run.go(mode)
    print(f"{MODES[mode]}: {len(tools)} tools, {run.refused} bad inputs refused", flush=True)


def main(program):
    with container_engine() as socket:
        settings = {
            "MCP_PROXY__COMMANDS__ALLOW": "env",
            "MCP_PROXY__PRIVATE_TARGETS": "http://127.0.0.1:9",
            "MCP_PROXY__DOCKER_SOCKET": socket,
        }
        with Server(program, ["all"], **settings) as server:
            for mode in MODES:
                asyncio.run(every_tool(server, mode))
            errors = [line for line in server.log if '"level":"ERROR"' in line]
            assert not errors, "\n".join(errors)


main(sys.argv[1])
