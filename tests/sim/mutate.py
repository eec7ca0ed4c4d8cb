#!/usr/bin/env python3
"""Makes a copy of a module with one planted fault, for a simulator that has to find it.

    mutate.py FAULT SOURCE OUTPUT

Every text that a fault replaces must stand in the source exactly once, or the build fails: a fault
that the module has outgrown is to be written anew here, not to vanish unseen."""
import sys

# Fault: pairs of (text in the source, what stands there instead).
FAULTS = {
    # engine/step.c: a step is taken from whatever run the holder names.
    "drop_run_check": [
        ("if (live && live->instance == instance && run_compare(live->run, step->run) == 0) {",
         "if (live && live->instance == instance) {"),
    ],
    # engine/step.c: a step is taken from whoever names the current run.
    "drop_holder_check": [
        ("if (live && live->instance == instance && run_compare(live->run, step->run) == 0) {",
         "if (live && run_compare(live->run, step->run) == 0) {"),
    ],
    # engine/claim.c: after a restart every claim on a task is good, the second one, too.
    "accept_two_claims": [
        ("if (run_compare(claim->run, exec->tasks[node].void_run) <= 0)", "if (false)"),
        ("if (live->state == LIVE_CLAIM)",
         "if (live->state == LIVE_CLAIM || live->state == LIVE_RUNNING)"),
        ("if (live->instance)\n", "if (live->instance == old && old)\n"),
    ],
    # engine/claim.c: a claim on a run that is void is good.
    "accept_void_claim": [
        ("if (run_compare(claim->run, exec->tasks[node].void_run) <= 0)", "if (false)"),
    ],
    # proto/link_peer.c: a lease counted from the arrival of the answer.
    "lease_from_arrival": [
        (" || echo_us <= (uint64_t)self->lease_us)\n        return;\n"
         "    self->lease_us = (int64_t)echo_us;\n",
         ")\n        return;\n    self->lease_us = now_us;\n"),
    ],
    # agentd/tasks.c: steps numbered from 1 in each run.
    "restart_numbering": [
        ("task->next_step = dispatch->journaled_step + 1;", "task->next_step = 1;"),
    ],
    # engine/fold_calls.c: a call has no child for good, and a delegation said again makes another.
    "forget_child_attach": [
        ("    talk->calls[delegated->by.call].said = true;\n", ""),
    ],
    # engine/fold_calls.c: a run goes on being good when its turn is left to the coordinator.
    "no_yield_void": [
        ("    fold_void_runs(task, run);\n", "    (void)run;\n"),
    ],
    # engine/delegate.c: children are numbered anew in each attempt.
    "restart_child_numbers": [
        ("talk->children_count + 1),", "talk->unsaid),"),
    ],
    # engine/fold_calls.c: what an attempt delegated goes on without it.
    "keep_children_running": [
        ("    talk_clear(talk);\n    part(self, exec, index);\n",
         "    talk_clear(talk);\n    (void)part;\n"),
    ],
    # engine/talk.c: what a turn used counts twice for the execution.
    "settle_twice": [
        ("    settle(&exec->ledger, held, usage);\n",
         "    settle(&exec->ledger, held, usage);\n    usage_add(&exec->ledger.used, usage);\n"),
    ],
    # engine/talk.c: what was reserved is never free again.
    "settle_never": [
        ("    ledger->held_tokens -= held->tokens;\n", ""),
    ],
    # engine/delegate.c: only the task itself is asked whether it may delegate to that one.
    "widen_rights": [
        ("    for (; index != NO_NODE; index = task_parent(exec, index))\n        if (!may_ask",
         "    for (; index != NO_NODE; index = NO_NODE)\n        if (!may_ask"),
    ],
    # engine/egress.c: nobody waits for the egress that has a call.
    "give_up_early": [
        ("return call->now_us < engine->resumed_until_us || find_gone(engine, held->egress);",
         "return false && find_gone(engine, held->egress);"),
    ],
    # egress/calls.c: an answer is held for one asker alone, who may be dead.
    "egress_drops_answer": [
        ("        reply_held(self, call, asker);\n        return CALLS_ANSWERED;",
         "        reply_held(self, call, asker);\n        remove_call(self, call);\n"
         "        return CALLS_ANSWERED;"),
    ],
    # engine/fold_gates.c: an edge counts as taken although its condition is false.
    "take_false_edge": [
        ("    if (decided->holds)\n        task->taken++;",
         "    if (decided->holds || task)\n        task->taken++;"),
    ],
    # engine/fold_gates.c: more items at a time than their node allows.
    "ignore_items_parallel": [
        ("(most == 0 || group->running < most)", "(most == 0 || group->running < 2 * most)"),
    ],
    # engine/render.c: what items gave, the last one first.
    "gather_backwards": [
        ("exec->tasks[talk->children[i]].answer",
         "exec->tasks[talk->children[talk->children_count - 1 - i]].answer"),
    ],
    # engine/fold_calls.c: an item that fails for good lets the others go on.
    "keep_items_running": [
        ("    talk_clear(talk);\n    part(self, exec, index);\n",
         "    talk_clear(talk);\n    if (!exec->tasks[index].group)\n"
         "        part(self, exec, index);\n"),
    ],
    # engine/wait.c: a decision counts although another one, or the end of patience, came before it.
    "decide_twice": [
        ("    if (waiting->end != WAIT_OPEN)\n        return decided_before(",
         "    if (waiting->end == WAIT_DROPPED)\n        return decided_before("),
    ],
    # engine/wait.c: who decides too late hears that it counts.
    "accept_late_decision": [
        ("""    case WAIT_DUE: return err_set(err, ERR_CONFLICT, "it has expired: nobody decided in time");
""",
         "    case WAIT_DUE: return 0;\n"),
    ],
    # engine/wait.c: a decision counts whatever it was that its person saw.
    "decide_unseen": [
        ("    if (in->hash && memcmp(", "    if (in->hash == NULL && memcmp("),
        ("waiting->hash, DATUM_HASH_BYTES) != 0)", "waiting->hash, 0) != 0)"),
    ],
    # engine/fold_again.c: a fork asks what the other one asked, for as long as that had left.
    "fork_asks_as_before": [
        ("    bool waits = task->waiting &&", "    bool waits = exec == NULL &&"),
        ("task->waiting->end == WAIT_OPEN;", "task->waiting;"),
    ],
    # engine/fold_waits.c: a signal that was kept is not used up by who waits for it.
    "signal_twice": [
        ("        memmove(signal, signal + 1, (exec->signals_count - i) * sizeof *signal);\n",
         "        *signal = (struct kept_signal){xstrdup(name), answer_new(&payload->datum, \"\")};\n"
         "        exec->signals_bytes += datum_size(&payload->datum);\n"
         "        exec->signals_count++;\n"),
    ],
    # engine/decide.c: a pause holds nothing that becomes ready.
    "dispatch_paused": [
        ("(exec->paused && !task_has_waited(task))", "(exec->paused && task_has_waited(task))"),
    ],
    # engine/fold_again.c: a retry runs again what has succeeded.
    "rerun_succeeded": [
        ("again[i] = task->status == TASK_FAILED ||",
         "again[i] = task->status == TASK_FAILED || task->status == TASK_SUCCEEDED ||"),
    ],
    # engine/fold_again.c: the same, of a list whose other items have to run again.
    "rerun_items": [
        ("        if (exec->tasks[talk->children[i]].status == TASK_SUCCEEDED)\n",
         "        if (exec->tasks[talk->children[i]].status == TASK_PENDING)\n"),
    ],
    # engine/fold_again.c: runs of before a retry are good after it.
    "keep_former_runs": [
        ("    fold_void_runs(task, void_run);\n", "    (void)void_run;\n"),
    ],
    # engine/fold_again.c: a fork waits for what the other one has started.
    "fork_waits_for_others": [
        ("    if (!waits && !task_owns(task))\n", "    if (!waits)\n"),
    ],
    # engine/fold_calls.c: a fork pays for calls that the other one has made.
    "fork_pays_twice": [
        ("        settle(exec, index, &nothing);\n",
         "        settle(exec, index, exec ? NULL : &nothing);\n"),
    ],
    # engine/fold_again.c: a fork goes on with the other one's input.
    "fork_old_input": [
        ("    if (!datum_absent(&forked->input)) {\n", "    if (forked->at == 0) {\n"),
    ],
    # engine/render.c: a task reads the shared context as it is by now.
    "read_later_context": [
        ("                          .context = exec->tasks[index].context,\n",
         "                          .context = exec->context,\n"),
    ],
    # engine/step.c: what a node sets is lost when its task handed off.
    "lose_handed_set": [
        ("    uint32_t index = who_succeeds(live->exec, live->node);\n",
         "    uint32_t index = live->exec ? live->node : who_succeeds(live->exec, live->node);\n"),
    ],
    # engine/fold_owned.c: who has given up a sub-workflow does not cancel it.
    "keep_subs_running": [
        ("    list_push_back(child->parted_subs, &child->family);\n", ""),
    ],
    # engine/owned.c: an attempt begins although the sub-workflow of the one before still runs.
    "sub_beside_sub": [
        ("    if (owned && owned->child) { /*", "    if (owned && exec == NULL) { /*"),
    ],
    # engine/owned.c: after a restart nobody knows who is whose sub-workflow.
    "forget_family": [
        ("        if (exec->owner_path)\n            relink(call, exec);\n",
         "        if (exec == NULL)\n            relink(call, exec);\n"),
    ],
    # engine/owned.c: what a sub-workflow used that nobody waits for is nobody's.
    "lose_sub_usage": [
        ("    if (used->input_tokens + used->output_tokens + used->cost_microusd > 0)\n",
         "    if (used == NULL)\n"),
    ],
    # engine/owned.c: only the execution itself says how deep what it runs may be.
    "sub_too_deep": [
        ("    for (const struct exec *at = exec; at; at = at->parent) {\n"
         "        *ret_limit = dag_depth(at->dag);\n",
         "    for (const struct exec *at = exec; at; at = NULL) {\n"
         "        *ret_limit = dag_depth(at->dag);\n"),
    ],
    # engine/pause.c: a pause is not passed down.
    "pause_owner_alone": [
        ("dag_workflows(exec->dag) > 0 && i < exec->count", "exec == NULL && i < exec->count"),
    ],
    # engine/talk.c: after a restart an execution's limits do not see what its sub-workflows use.
    "forget_sub_ledger": [
        ("            add_ledger(&exec->below, &whole);\n", "            (void)add_ledger;\n"),
    ],
    # schedule/due.c: all that was missed counts as one.
    "run_missed_once": [
        (".most = missed == MISSED_ALL ? LIMIT_MISSED_RUNS : 1}", ".most = 1}"),
    ],
    # schedule/due.c: what is too late to be run for is run for.
    "run_too_late": [
        ("if (missed == MISSED_SKIP && now_us", "if (false && now_us"),
    ],
    # schedule/due.c: after a long absence more is made up for than the limit allows.
    "make_up_for_all": [
        ("    int64_t at_s[LIMIT_MISSED_RUNS];", "    int64_t at_s[2 * LIMIT_MISSED_RUNS];"),
        ("? LIMIT_MISSED_RUNS : 1}", "? 2 * LIMIT_MISSED_RUNS : 1}"),
    ],
    # agentd/conversation.c: tools that may not be repeated are.
    "repeat_tools": [
        ("call->kind == CALL_COMMAND && !call->command->repeat_safe;", "call->command == NULL;"),
    ],
    # agentd/conversation.c: tools start before their turn is in the journal.
    "tools_early": [
        ("self->acknowledged && i < turn->calls_count", "i < turn->calls_count"),
    ],
}


def main():
    fault, source, output = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        text = file.read()
    for old, new in FAULTS[fault]:
        if text.count(old) != 1:
            sys.exit(f"{source}: the fault {fault} replaces a text that stands there "
                     f"{text.count(old)} times, not once: {old!r}; mend tests/sim/mutate.py")
        text = text.replace(old, new)
    with open(output, "w", encoding="utf-8") as file:
        file.write(f'#line 1 "{source}"\n{text}')


main()
