/* What a disk does to the store: it fills up (a small tmpfs in a mount namespace of our own; these
 * are skipped where this user may not mount), and its calls fail. For the latter this program
 * defines the calls that LMDB makes, which take the place of the C library's: each fails once, at
 * the n-th time from now, for every n that a commit has. */
#include "store/testing.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* --- calls that fail ---------------------------------------------------------------------------
 */

struct failing {
    atomic_int countdown; /* the call that takes it from 1 to 0 fails */
    atomic_int error;     /* 0: a short write */
};

static struct failing data_sync, page_write, meta_write;

static bool fails(struct failing *self)
{
    return atomic_load(&self->countdown) > 0 && atomic_fetch_sub(&self->countdown, 1) == 1;
}

static void fail_next(struct failing *self, int n, int error)
{
    atomic_store(&self->error, error);
    atomic_store(&self->countdown, n);
}

static void fail_none(void)
{
    fail_next(&data_sync, 0, 0);
    fail_next(&page_write, 0, 0);
    fail_next(&meta_write, 0, 0);
}

int fdatasync(int fd)
{
    if (!fails(&data_sync))
        return (int)syscall(SYS_fdatasync, fd);
    errno = atomic_load(&data_sync.error);
    return -1;
}

/* LMDB writes its meta pages, which are less than a page, through this call, and single pages. */
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    struct failing *failing = size < 4096 ? &meta_write : &page_write;
    if (!fails(failing))
        return syscall(SYS_pwrite64, fd, data, size, offset);
    errno = atomic_load(&failing->error);
    return errno ? -1 : syscall(SYS_pwrite64, fd, data, size / 2, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    if (!fails(&page_write))
        return syscall(SYS_writev, fd, parts, count);
    errno = atomic_load(&page_write.error);
    return errno ? -1 : syscall(SYS_writev, fd, parts, 1);
}

/* Puts ten records of which one batch each has several pages, while the n-th call fails; what was
 * acknowledged, and nothing else, is there afterwards. */
static void check_failure(struct failing *failing, int n, int error)
{
    char *path = test_directory();
    char value[9000];
    unsigned acknowledged = 0;
    int code = 0;
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    store_t *store = test_open(path);
    fail_next(failing, n, error);
    for (unsigned i = 0; i < 10 && code == 0; i++) {
        char key[16];
        snprintf(key, sizeof key, "%u", i);
        code = test_apply_put(store, key, value, NULL);
        acknowledged += code == 0;
    }
    assert_int_equal(atomic_load(&failing->countdown), 0);
    fail_none();
    assert_int_equal(code, ERR_IO);
    assert_int_equal(test_apply_put(store, "later", "v", NULL), ERR_IO);
    store_close(&store);
    store = test_open(path);
    assert_int_equal(test_count(store, "journal"), acknowledged);
    test_put(store, "later", "v");
    store_close(&store);
    test_directory_remove(&path);
}

static void failing_sync_stops_it_for_good(void **state)
{
    (void)state;
    for (int n = 1; n <= 4; n++)
        check_failure(&data_sync, n, EIO);
}

static void failing_page_write_stops_it_for_good(void **state)
{
    (void)state;
    for (int n = 1; n <= 6; n++)
        check_failure(&page_write, n, EIO);
}

/* Where there is room a short write is no full disk. */
static void short_page_write_with_room_left_stops_it_for_good(void **state)
{
    (void)state;
    for (int n = 1; n <= 4; n++)
        check_failure(&page_write, n, 0);
}

/* Whether the commit took place is unknown to LMDB, also when the reason was only a lack of room.
 */
static void failing_meta_write_stops_it_for_good(void **state)
{
    (void)state;
    for (int n = 1; n <= 4; n++) {
        check_failure(&meta_write, n, EIO);
        check_failure(&meta_write, n, ENOSPC);
    }
}

static void no_room_for_a_page_is_full_and_passes(void **state)
{
    (void)state;
    for (int n = 1; n <= 4; n++) {
        char *path = test_directory();
        store_t *store = test_open(path);
        test_put(store, "before", "v");
        fail_next(&page_write, 1, n % 2 ? ENOSPC : EDQUOT);
        test_submit_put(store, 1, "held", "v");
        test_assert_completes(store, 1, ERR_FULL);
        test_assert_completes(store, 1, 0);
        fail_none();
        assert_int_equal(test_count(store, "journal"), 2);
        store_close(&store);
        test_directory_remove(&path);
    }
}

/* --- a full file system ------------------------------------------------------------------------
 */

static const char *disk; /* where the small file system is mounted; NULL: not possible */

static char *filler_name(void)
{
    return xasprintf("%s/filler", disk);
}

/* Takes all room but what is left over; at the end everything that there is. */
static void fill_disk(size_t leave)
{
    char *name = filler_name();
    int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    static char block[4096];
    while (write(fd, block, sizeof block) == (ssize_t)sizeof block)
        ;
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    assert_true((size_t)status.st_size > leave);
    assert_int_equal(ftruncate(fd, status.st_size - (off_t)leave), 0);
    close(fd);
    free(name);
}

static void free_disk(void)
{
    char *name = filler_name();
    assert_int_equal(unlink(name), 0);
    free(name);
}

static int set_up_disk(void **state)
{
    if (disk && mount("tmpfs", disk, "tmpfs", 0, "size=8m,mode=0700") == 0)
        *state = xstrdup(disk);
    return 0;
}

static int tear_down_disk(void **state)
{
    free(*state);
    return disk && *state ? umount2(disk, MNT_DETACH) : 0;
}

static void need_disk(void *const *state)
{
    if (!*state) {
        print_message("needs the right to mount a file system\n");
        skip();
    }
}

static void submit_sized(store_t *store, unsigned number, size_t size)
{
    char key[16];
    uint8_t *data = xcalloc(1, size);
    store_batch_t *batch = store_batch_new();
    snprintf(key, sizeof key, "%06u", number);
    store_batch_put(batch, "journal", test_text(key), bytes_of(data, size));
    assert_int_equal(store_submit(store, &batch, number, NULL), 0);
    free(data);
}

/* One after another until one finds no room; returns its number. */
static unsigned submit_until_full(store_t *store, size_t size)
{
    for (unsigned number = 0;; number++) {
        submit_sized(store, number, size);
        struct store_completion completion = test_complete(store);
        assert_int_equal(completion.tag, number);
        if (completion.code == ERR_FULL) {
            assert_null(completion.batch);
            return number;
        }
        assert_int_equal(completion.code, 0);
        store_batch_destroy(&completion.batch);
    }
}

static void full_disk_loses_nothing(const char *path, size_t size)
{
    store_t *store = test_open(path);
    fill_disk(600 << 10);
    unsigned held = submit_until_full(store, size);
    submit_sized(store, held + 1, size);
    submit_sized(store, held + 2, size);
    assert_int_equal(test_count(store, "journal"), held);
    assert_int_equal(test_apply_put(store, "no room", "v", NULL), ERR_FULL);
    free_disk();
    for (unsigned number = held; number < held + 3; number++)
        test_assert_completes(store, number, 0);
    test_put(store, "room", "v");
    store_close(&store);
    store = test_open(path);
    assert_int_equal(test_count(store, "journal"), held + 4);
    store_close(&store);
}

static void small_batches_outlive_a_full_disk(void **state)
{
    need_disk(state);
    full_disk_loses_nothing(disk, 1500);
}

/* Here the write that fails is a short one of many pages. */
static void large_batches_outlive_a_full_disk(void **state)
{
    need_disk(state);
    full_disk_loses_nothing(disk, 250000);
}

static void full_disk_can_be_closed_and_opened(void **state)
{
    need_disk(state);
    store_t *store = test_open(disk);
    fill_disk(200 << 10);
    unsigned held = submit_until_full(store, 20000);
    fill_disk(0);
    store_close(&store);
    store = test_open(disk);
    assert_int_equal(test_count(store, "journal"), held);
    free_disk();
    test_put(store, "room", "v");
    assert_int_equal(test_count(store, "journal"), held + 1);
    store_close(&store);
}

static void new_store_on_a_full_disk_is_refused_until_there_is_room(void **state)
{
    unsigned refused = 0;
    need_disk(state);
    /* With each of these a later step of making the store is the one that finds no room. */
    for (size_t pages = 0; pages < 16; pages++) {
        struct err err = {0};
        store_t *store = NULL;
        char *path = xasprintf("%s/store", disk);
        struct store_options options = {.path = path, .tables = TEST_TABLES};
        fill_disk(pages * 4096);
        int code = store_open(&options, &store, &err);
        if (code)
            assert_string_equal(err_name(code), "full");
        refused += code != 0;
        store_close(&store);
        free_disk();
        store = test_open(disk);
        test_put(store, "k", "v");
        store_close(&store);
        assert_int_equal(tear_down_disk(state), 0);
        *state = NULL;
        set_up_disk(state);
        assert_non_null(*state);
        free(path);
    }
    assert_in_range(refused, 5, 15);
}

/* Before any thread is there, since a user who is not root has to make a namespace of users. */
static void make_mount_possible(char *path)
{
    if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return;
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
        disk = path;
}

#define DISK_TEST(function) cmocka_unit_test_setup_teardown(function, set_up_disk, tear_down_disk)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failing_sync_stops_it_for_good),
        cmocka_unit_test(failing_page_write_stops_it_for_good),
        cmocka_unit_test(short_page_write_with_room_left_stops_it_for_good),
        cmocka_unit_test(failing_meta_write_stops_it_for_good),
        cmocka_unit_test(no_room_for_a_page_is_full_and_passes),
        DISK_TEST(small_batches_outlive_a_full_disk),
        DISK_TEST(large_batches_outlive_a_full_disk),
        DISK_TEST(full_disk_can_be_closed_and_opened),
        DISK_TEST(new_store_on_a_full_disk_is_refused_until_there_is_room),
    };
    char *path = test_directory();
    make_mount_possible(path);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    test_directory_remove(&path);
    return failures;
}
