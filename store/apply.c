#include "store/apply.h"

#include "store/batch.h"

/* Everything that one batch needs while it is applied. */
struct applying {
    kv_t *kv;
    const struct tables *tables;
    unsigned numbers[LIMIT_STORE_TABLES]; /* of the batch's names among the store's tables */
};

static void translate(struct applying *self, const store_batch_t *batch)
{
    for (unsigned i = 0; i < batch->name_count; i++)
        self->numbers[i] = tables_find(self->tables, batch->names[i]);
}

static int unmet(const struct table *table, const char *what, struct err *err)
{
    int code = err_set(err, ERR_CONFLICT, "a condition of the batch is not met: the key %s", what);
    err_where(err, "table %s", table->name);
    return code;
}

/* Sets *ret_verdict for what concerns this batch alone; returns what ends the transaction. */
static int check_condition(const struct applying *self, const struct batch_item *item,
                           struct verdict *ret_verdict, struct err *err)
{
    struct bytes stored, value;
    unsigned number = self->numbers[item->table];
    const struct table *table = &self->tables->list[number];
    int code = kv_lookup(self->kv, number, item->key, &stored, err);
    if (code == ERR_NOT_FOUND) {
        if (item->kind == BATCH_REQUIRE_VALUE)
            ret_verdict->code = unmet(table, "is absent", &ret_verdict->err);
        return 0;
    }
    if (code)
        return code;
    ret_verdict->code = record_open(table, item->key, stored, &value, &ret_verdict->err);
    if (ret_verdict->code)
        return 0;
    if (item->kind == BATCH_REQUIRE_ABSENT)
        ret_verdict->code = unmet(table, "exists", &ret_verdict->err);
    else if (!bytes_equal(value, item->value))
        ret_verdict->code = unmet(table, "has another value", &ret_verdict->err);
    return 0;
}

static int write_item(const struct applying *self, const struct batch_item *item, struct err *err)
{
    uint8_t *room;
    unsigned number = self->numbers[item->table];
    if (item->kind == BATCH_DELETE) {
        int code = kv_delete(self->kv, number, item->key, err);
        return code == ERR_NOT_FOUND ? 0 : code;
    }
    int code = kv_put(self->kv, number, item->key, item->value.size + RECORD_SUM_BYTES, &room, err);
    if (code == 0)
        record_seal(&self->tables->list[number], item->key, item->value, room);
    return code;
}

static int apply_batch(struct applying *self, const store_batch_t *batch,
                       struct verdict *ret_verdict, size_t *changes, struct err *err)
{
    size_t offset = 0;
    struct batch_item item;
    int code = 0;
    translate(self, batch);
    ret_verdict->code = 0;
    while (code == 0 && ret_verdict->code == 0 && batch_next(&batch->conditions, &offset, &item))
        code = check_condition(self, &item, ret_verdict, err);
    if (code || ret_verdict->code)
        return code;
    offset = 0;
    while (code == 0 && batch_next(&batch->operations, &offset, &item))
        code = write_item(self, &item, err);
    *changes += batch->operation_count;
    return code;
}

int apply_group(kv_t *kv, const struct tables *tables, const store_batch_t *const *batches,
                size_t count, struct verdict *verdicts, size_t *ret_changes, struct err *err)
{
    struct applying applying = {.kv = kv, .tables = tables};
    size_t changes = 0;
    int code = kv_begin(kv, err);
    if (code)
        return code;
    for (size_t i = 0; code == 0 && i < count; i++)
        code = apply_batch(&applying, batches[i], &verdicts[i], &changes, err);
    if (code)
        kv_abort(kv);
    else
        *ret_changes = changes;
    return code;
}
