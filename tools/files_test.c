/* Files that models name for their rules: where they are is up to whoever wrote the model. */
#include "base/limits.h"
#include "definitions/definitions.h"
#include "tools/commands.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/af-files-XXXXXX";

static void write_file(const char *name, const char *text)
{
    char *path = xasprintf("%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    free(path);
}

static int set_up(void **state)
{
    char *path = NULL;
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    write_file("rules.yaml", "rules: [{say: hi}]\n");
    write_file("secret", "password: 1234\n");
    write_file("typo.yaml", "rules: [{sya: hi}]\n");
    path = xasprintf("%s/fifo", dir);
    int rc = mkfifo(path, 0600);
    free(path);
    path = xasprintf("%s/folder", dir);
    rc |= mkdir(path, 0700);
    free(path);
    path = xasprintf("%s/large", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    rc |= fd < 0 || ftruncate(fd, LIMIT_DEFINITION_BYTES + 1) < 0;
    close(fd);
    free(path);
    return rc;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static int tear_down(void **state)
{
    (void)state;
    return nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* what: part of the first problem; NULL: there is none. */
static void assert_rules(const char *file, bool may_leave, const char *what)
{
    char *path = xasprintf("%s/agent.yaml", dir);
    char *text = xasprintf("agent: a\nmodel: script/%s\n", file);
    const char *paths[] = {path};
    struct err err = {0};
    struct definitions definitions = {0};
    struct diagnostics diagnostics = {0};
    value_t *files = NULL;
    write_file("agent.yaml", text);
    assert_int_equal(read_definition_files(paths, 1, &files, &err), 0);
    assert_int_equal(definition_files_may_leave(files), may_leave);
    parse_definition_files(files, &definitions, &diagnostics);
    definitions_join_rules(&definitions, &diagnostics);
    assert_int_equal(diagnostics.errors > 0, what != NULL);
    if (what)
        assert_non_null(strstr(diagnostics.items[0].message, what));
    value_destroy(&files);
    definitions_release(&definitions);
    diagnostics_release(&diagnostics);
    free(text);
    free(path);
}

static void test_rules_are_read(void **state)
{
    (void)state;
    assert_rules("rules.yaml", true, NULL);
    assert_rules("folder/../rules.yaml", true, NULL);
}

static void test_what_can_not_be_read_is_left_to_the_validator(void **state)
{
    (void)state;
    assert_rules("nothing", true, "there is no file");
    assert_rules("secret/nothing", true, "there is no file");
    assert_rules("fifo", false, "/fifo can't be read: it is no regular file");
    assert_rules("folder", false, "/folder can't be read: it is a directory");
    assert_rules("large", false, "/large can't be read: it is larger than a definition may be");
    assert_rules("/dev/zero", false, "/dev/zero can't be read: it is no regular file");
}

static void test_only_rules_may_leave(void **state)
{
    (void)state;
    assert_rules("secret", false, "this is something else");
    assert_rules("typo.yaml", false, "sya");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_are_read),
        cmocka_unit_test(test_what_can_not_be_read_is_left_to_the_validator),
        cmocka_unit_test(test_only_rules_may_leave),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
