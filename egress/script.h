/* The model `script/FILE`: what its rules answer to a request. Pure and deterministic: the same
 * rules and the same request give the same answer; nothing happens here, time least of all: delays
 * are a part of the answer. Any thread.
 *
 * rules is the canonical form of an agent's `rules` (checked by definitions/), an object
 *   {rules: [{name?, when?: {turn: [from, to], attempt: [from, to], message, results, called,
 *     not_called, delegated, not_delegated, has: path, lacks: path, equals: [[path, value]]},
 *     say?: template, calls?: [{tool, with?: template} | {delegate: template, message: template,
 *     context?: template, hand_off?}, each with for?: path, if?: path], delay_us?, stream_us?,
 *     usage?: {input?, output?}, fail?: {code, message, permanent?}}]}
 * The first rule whose conditions all hold answers.
 *
 * request is what an instance sends, an object {agent, instructions, attempt, turn, message, turns:
 * [{content, calls: [{tool, arguments}], results: [{output} | {error: {code, message}}]}], tools}.
 *
 * Paths and templates know the variables message, agent, turn, attempt, results (of the last turn),
 * turns (all before), and within a call that has `for`: item and index. */
#ifndef AF_EGRESS_SCRIPT_H
#define AF_EGRESS_SCRIPT_H

#include "base/value.h"

struct script_answer {
    value_t *turn;      /* {content, calls: [{tool, arguments}]}; NULL: it fails */
    char *code, *what;  /* of the failure */
    bool permanent;
    int64_t delay_us;   /* before the answer, or the failure */
    int64_t stream_us;  /* between the words of the content; 0: it comes at once */
    int64_t input_tokens, output_tokens; /* as the rule gives them; -1: it doesn't */
};

/* Always gives an answer. A rule that can't be followed (a path that is missing, a value of the
 * wrong type) fails for good with the code "script" and a sentence that names the rule; no rule that
 * fits: "no_rule". */
void script_evaluate(const value_t *rules, const value_t *request, struct script_answer *ret_answer);
void script_answer_release(struct script_answer *self);

#endif
