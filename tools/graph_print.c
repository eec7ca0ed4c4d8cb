/* Graphs as lines of text, for Graphviz, and as pictures. */
#include "base/limits.h"
#include "tools/graph.h"
#include "tools/output.h"
#include "tools/text.h"

#include <stdlib.h>
#include <string.h>

#define SOURCES_SHOWN 4
#define LINES_MOST    500

/* --- text ------------------------------------------------------------------------------------- */

static void put_sources(const struct graph *self, uint32_t node, struct buf *out)
{
    size_t shown = 0, count = 0;
    for (size_t i = 0; i < self->edges_count; i++)
        count += self->edges[i].to == node;
    for (size_t i = 0; i < self->edges_count && shown < SOURCES_SHOWN; i++) {
        const struct graph_edge *edge = &self->edges[i];
        if (edge->to != node)
            continue;
        buf_printf(out, "%s%s",
                   shown++           ? ", "
                   : edge->delegates ? "asked by "
                                     : "← ",
                   self->nodes[edge->from].id);
        if (*edge->condition)
            buf_printf(out, " if %s", edge->condition);
    }
    if (count > shown)
        buf_printf(out, ", %zu more", count - shown);
}

static void put_line(const struct graph *self, uint32_t index, table_t *table)
{
    const struct graph_node *node = &self->nodes[index];
    struct buf cell = {0};
    if (self->has_states)
        buf_printf(&cell, "%s ", status_mark(node->status));
    buf_printf(&cell, "%*s%s", (int)(node->layer < 20 ? 2 * node->layer : 40), "", node->id);
    table_cell(table, buf_string(&cell));
    buf_clear(&cell);
    buf_printf(&cell, "%s%s%s", node->what, *node->more ? ", " : "", node->more);
    table_cell(table, buf_string(&cell));
    buf_clear(&cell);
    if (self->has_states) {
        buf_puts(&cell, node->status);
        if (*node->detail)
            buf_printf(&cell, ": %s", node->detail);
        table_cell(table, buf_string(&cell));
        buf_clear(&cell);
    }
    put_sources(self, index, &cell);
    table_cell(table, buf_string(&cell));
    buf_release(&cell);
}

void graph_print_text(const struct graph *self, FILE *stream)
{
    static const char *const plain[] = {"NODE", "WHAT", "AFTER"};
    static const char *const states[] = {"NODE", "WHAT", "STATUS", "AFTER"};
    table_t *table = self->has_states ? table_new(4, states) : table_new(3, plain);
    uint32_t lines = 0;
    for (uint32_t layer = 0; layer < self->layers && lines < LINES_MOST; layer++)
        for (uint32_t i = 0; i < self->count && lines < LINES_MOST; i++)
            if (self->nodes[i].layer == layer) {
                put_line(self, i, table);
                lines++;
            }
    table_cut_last(table);
    table_print(&table, stream);
    if (self->count > lines)
        fprintf(stream, "… and %u nodes more, in %u layers\n", self->count - lines, self->layers);
}

/* --- dot -------------------------------------------------------------------------------------- */

static void put_quoted(FILE *stream, const char *text)
{
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', stream);
        fputc(*text, stream);
    }
}

static const char *color_of(const char *status)
{
    static const struct {
        const char *status, *color;
    } COLORS[] = {
        {"succeeded", "#2c8a57"}, {"failed", "#c2352b"},  {"cancelled", "#8a6d3b"},
        {"skipped", "#8b93a1"},   {"running", "#2f6fde"}, {"retrying", "#c2771a"},
        {"waiting", "#8352c4"},   {"pending", "#8b93a1"},
    };
    for (size_t i = 0; i < sizeof COLORS / sizeof *COLORS; i++)
        if (strcmp(status, COLORS[i].status) == 0)
            return COLORS[i].color;
    return "#5b6472";
}

void graph_print_dot(const struct graph *self, FILE *stream)
{
    fputs("digraph \"", stream);
    put_quoted(stream, self->title);
    fputs("\" {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n",
          stream);
    for (uint32_t i = 0; i < self->count; i++) {
        const struct graph_node *node = &self->nodes[i];
        fprintf(stream, "  n%u [label=\"", i);
        put_quoted(stream, node->id);
        fputs("\\n", stream);
        put_quoted(stream, node->what);
        if (*node->more) {
            fputs("\\n", stream);
            put_quoted(stream, node->more);
        }
        if (self->has_states)
            fprintf(stream, "\\n%s", node->status);
        fprintf(stream, "\", color=\"%s\"%s];\n", color_of(node->status),
                node->delegated ? ", style=\"rounded,dashed\"" : "");
    }
    for (size_t i = 0; i < self->edges_count; i++) {
        const struct graph_edge *edge = &self->edges[i];
        fprintf(stream, "  n%u -> n%u [label=\"", edge->from, edge->to);
        put_quoted(stream, edge->condition);
        fprintf(stream, "\"%s];\n", edge->delegates ? ", style=dashed" : "");
    }
    fputs("}\n", stream);
}

/* --- svg -------------------------------------------------------------------------------------- */

#define BOX_WIDTH  190
#define BOX_HEIGHT 58
#define GAP_X      70
#define GAP_Y      20
#define MARGIN     16
#define CHARACTERS 27 /* that a line of a box has room for */

struct drawing {
    const struct graph *graph;
    FILE *stream;
    uint32_t *sizes; /* of the layers */
    uint32_t widest;
};

static void put_escaped(FILE *stream, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '<': fputs("&lt;", stream); break;
        case '>': fputs("&gt;", stream); break;
        case '&': fputs("&amp;", stream); break;
        case '"': fputs("&quot;", stream); break;
        default: fputc(*text, stream);
        }
    }
}

static int left_of(const struct graph_node *node)
{
    return MARGIN + (int)node->layer * (BOX_WIDTH + GAP_X);
}

/* Layers stand in the middle of the height. */
static int top_of(const struct drawing *self, const struct graph_node *node)
{
    int free_rows = (int)(self->widest - self->sizes[node->layer]);
    return MARGIN + free_rows * (BOX_HEIGHT + GAP_Y) / 2 + (int)node->place * (BOX_HEIGHT + GAP_Y);
}

static void draw_line(const struct drawing *self, int x, int y, const char *class, const char *text)
{
    struct buf cut = {0};
    text_excerpt(&cut, text, strlen(text), CHARACTERS);
    fprintf(self->stream, "<text x=\"%d\" y=\"%d\" class=\"%s\">", x, y, class);
    put_escaped(self->stream, buf_string(&cut));
    fputs("</text>", self->stream);
    buf_release(&cut);
}

static void draw_node(const struct drawing *self, const struct graph_node *node)
{
    int x = left_of(node), y = top_of(self, node);
    const char *third = *node->detail ? node->detail : node->more;
    fputs("<g><title>", self->stream);
    put_escaped(self->stream, node->id);
    fputs(": ", self->stream);
    put_escaped(self->stream, node->what);
    const char *const parts[] = {node->more, node->status, node->detail};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (!*parts[i])
            continue;
        fputs("; ", self->stream);
        put_escaped(self->stream, parts[i]);
    }
    fprintf(self->stream,
            "</title><rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"7\" stroke=\"%s\"%s/>",
            x, y, BOX_WIDTH, BOX_HEIGHT, color_of(node->status),
            node->delegated ? " stroke-dasharray=\"5 3\"" : "");
    draw_line(self, x + 10, y + 19, "id", node->id);
    draw_line(self, x + 10, y + 35, "what", node->what);
    if (*node->status) {
        fprintf(self->stream, "<circle cx=\"%d\" cy=\"%d\" r=\"5\" fill=\"%s\"/>",
                x + BOX_WIDTH - 13, y + 14, color_of(node->status));
        struct buf line = {0};
        buf_printf(&line, "%s%s%s", node->status, *third ? ": " : "", third);
        draw_line(self, x + 10, y + 50, "what", buf_string(&line));
        buf_release(&line);
    } else if (*third) {
        draw_line(self, x + 10, y + 50, "what", third);
    }
    fputs("</g>\n", self->stream);
}

static void draw_edge(const struct drawing *self, const struct graph_edge *edge)
{
    const struct graph_node *from = &self->graph->nodes[edge->from];
    const struct graph_node *to = &self->graph->nodes[edge->to];
    int x1 = left_of(from) + BOX_WIDTH, y1 = top_of(self, from) + BOX_HEIGHT / 2;
    int x2 = left_of(to) - (to->bend ? 0 : 2), y2 = top_of(self, to) + BOX_HEIGHT / 2;
    bool conditional = *edge->condition;
    fprintf(self->stream, "<path d=\"M%d %d C%d %d %d %d %d %d", x1, y1, x1 + GAP_X / 2, y1,
            x2 - GAP_X / 2, y2, x2, y2);
    if (to->bend)
        fprintf(self->stream, " H%d", x2 + BOX_WIDTH);
    fprintf(self->stream, "\"%s%s>", to->bend ? "" : " marker-end=\"url(#arrow)\"",
            conditional || edge->delegates ? " stroke-dasharray=\"5 3\"" : "");
    if (conditional) {
        fputs("<title>if ", self->stream);
        put_escaped(self->stream, edge->condition);
        fputs("</title>", self->stream);
    }
    fputs("</path>\n", self->stream);
    if (conditional)
        fprintf(self->stream, "<text x=\"%d\" y=\"%d\" class=\"if\">if</text>\n", (x1 + x2) / 2,
                (y1 + y2) / 2 - 5);
}

static void begin_svg(const struct drawing *self)
{
    int width = 2 * MARGIN + (int)self->graph->layers * (BOX_WIDTH + GAP_X) - GAP_X;
    int height = 2 * MARGIN + (int)self->widest * (BOX_HEIGHT + GAP_Y) - GAP_Y;
    fprintf(self->stream,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
            "height=\"%d\" role=\"img\">\n<title>",
            width, height, width, height);
    put_escaped(self->stream, self->graph->title);
    fputs("</title>\n<style>text{font:13px system-ui,sans-serif;fill:#1f2733}.id{font-weight:600}"
          ".what{font-size:11.5px;fill:#5b6472}.if{font-size:11px;fill:#5b6472;text-anchor:middle}"
          "rect{fill:#fff;stroke-width:1.6}path{fill:none;stroke:#8b93a1;stroke-width:1.4}"
          "@media(prefers-color-scheme:dark){text{fill:#e8ebf0}.what,.if{fill:#a5adba}"
          "rect{fill:#1c2129}}</style>\n"
          "<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" "
          "markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" style=\"fill:#8b93a1;"
          "stroke:none\"/></marker></defs>\n",
          self->stream);
}

int graph_print_svg(const struct graph *self, FILE *stream, struct err *err)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < self->count; i++)
        count += !self->nodes[i].bend;
    if (count > GRAPH_DRAWN_MOST) {
        int rc = err_set(err, ERR_TOO_LARGE,
                         "the graph has %u nodes, more than %d that a picture may have", count,
                         GRAPH_DRAWN_MOST);
        err_fix(err, "use --format text, or dot with a program that lays out large graphs");
        return rc;
    }
    struct drawing drawing = {.graph = self, .stream = stream};
    drawing.sizes = xcalloc((size_t)self->layers + 1, sizeof *drawing.sizes);
    for (uint32_t i = 0; i < self->count; i++)
        if (++drawing.sizes[self->nodes[i].layer] > drawing.widest)
            drawing.widest = drawing.sizes[self->nodes[i].layer];
    begin_svg(&drawing);
    for (size_t i = 0; i < self->edges_count; i++)
        draw_edge(&drawing, &self->edges[i]);
    for (uint32_t i = 0; i < self->count; i++)
        if (!self->nodes[i].bend)
            draw_node(&drawing, &self->nodes[i]);
    fputs("</svg>\n", stream);
    free(drawing.sizes);
    return 0;
}
