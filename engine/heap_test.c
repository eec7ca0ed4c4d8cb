#include "base/test.h"

#include "engine/heap.h"
#include <stdlib.h>
#include <string.h>

struct thing {
    struct heap_item item;
    int key;
    int index;
};

static bool before(const struct heap_item *a, const struct heap_item *b)
{
    const struct thing *left = (const void *)a;
    const struct thing *right = (const void *)b;
    return left->key != right->key ? left->key < right->key : left->index < right->index;
}

static int by_order(const void *a, const void *b)
{
    const struct thing *const *left = a;
    const struct thing *const *right = b;
    return before(&(*left)->item, &(*right)->item) ? -1 : 1;
}

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void test_random_changes_keep_the_order(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    static struct thing things[COUNT];
    const struct thing *left[COUNT];
    struct heap heap;
    uint32_t seed = 12345;
    heap_init(&heap, before);
    assert_null(heap_top(&heap));
    for (int i = 0; i < COUNT; i++) {
        things[i].index = i;
        things[i].key = (int)(next(&seed) % 100);
        heap_put(&heap, &things[i].item);
    }
    for (int i = 0; i < 3000; i++) {
        struct thing *thing = &things[next(&seed) % COUNT];
        if (thing->item.place == 0)
            heap_put(&heap, &thing->item);
        else if (next(&seed) % 3 == 0)
            heap_remove(&heap, &thing->item);
        else {
            thing->key = (int)(next(&seed) % 100);
            heap_moved(&heap, &thing->item);
        }
    }
    size_t count = 0;
    for (int i = 0; i < COUNT; i++)
        if (things[i].item.place)
            left[count++] = &things[i];
    assert_int_equal(count, heap.count);
    qsort((void *)left, count, sizeof *left, by_order);
    for (size_t i = 0; i < count; i++) {
        struct heap_item *top = heap_top(&heap);
        assert_ptr_equal(top, &left[i]->item);
        heap_remove(&heap, top);
        heap_remove(&heap, top);
    }
    assert_null(heap_top(&heap));
    heap_release(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_changes_keep_the_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
