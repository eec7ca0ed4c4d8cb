/* Prints what is generated from the table of keys: docs/definitions.md (`generate document`) or the
 * JSON Schema for editors (`generate schema`). */
#include "definitions/definitions.h"
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    struct buf out = {0};
    if (argc == 2 && strcmp(argv[1], "document") == 0) {
        definitions_document(&out);
    } else if (argc == 2 && strcmp(argv[1], "schema") == 0) {
        value_t *schema = definitions_json_schema();
        value_to_json(schema, VALUE_JSON_INDENT, &out);
        buf_putc(&out, '\n');
        value_destroy(&schema);
    } else {
        (void)fputs("usage: generate document|schema\n", stderr);
        return 2;
    }
    bool written = fwrite(out.data, 1, out.size, stdout) == out.size && fflush(stdout) == 0;
    buf_release(&out);
    return written ? 0 : 1;
}
