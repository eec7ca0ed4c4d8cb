#include "base/test.h"

#include "base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Standard error goes into a pipe while a test runs. */
struct capture {
    int kept_stderr;
    int reading_end;
};

static struct capture capture_start(void)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct capture capture = {dup(STDERR_FILENO), ends[0]};
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    return capture;
}

static void capture_end(struct capture *self, char *ret_text, size_t size)
{
    dup2(self->kept_stderr, STDERR_FILENO);
    close(self->kept_stderr);
    size_t used = 0;
    ssize_t got;
    while ((got = read(self->reading_end, ret_text + used, size - 1 - used)) > 0)
        used += (size_t)got;
    ret_text[used] = '\0';
    close(self->reading_end);
}

static void test_one_line_with_fields(void **state)
{
    (void)state;
    char text[2048];
    unsetenv("JOURNAL_STREAM");
    struct capture capture = capture_start();
    log_open("tester", LOG_LEVEL_INFO);
    log_debug("T-HIDDEN", "not shown", NULL);
    log_warn("T-ID", "the sentence", "plain", "abc", "spaced", "a \"b\"\n<3>c", "none", NULL, NULL);
    capture_end(&capture, text, sizeof text);
    assert_int_equal(text[4], '-');
    assert_int_equal(text[26], 'Z');
    assert_string_equal(
        text + 27, " WARN T-ID the sentence plain=abc spaced=\"a \\\"b\\\"\\n<3>c\" none=\"\"\n");
}

static void test_levels(void **state)
{
    (void)state;
    char text[2048];
    struct capture capture = capture_start();
    log_open("tester", LOG_LEVEL_DEBUG);
    log_error("E", "x", NULL);
    log_warn("W", "x", NULL);
    log_info("I", "x", NULL);
    log_debug("D", "x", NULL);
    log_open("tester", LOG_LEVEL_ERROR);
    log_error("E2", "x", NULL);
    log_warn("W2", "x", NULL);
    capture_end(&capture, text, sizeof text);
    assert_non_null(strstr(text, " ERROR E x\n"));
    assert_non_null(strstr(text, " WARN W x\n"));
    assert_non_null(strstr(text, " INFO I x\n"));
    assert_non_null(strstr(text, " DEBUG D x\n"));
    assert_non_null(strstr(text, " ERROR E2 x\n"));
    assert_null(strstr(text, "W2"));
}

static void claim_journal_stream(void)
{
    struct stat status;
    char stream[64];
    assert_int_equal(fstat(STDERR_FILENO, &status), 0);
    snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)status.st_dev,
             (unsigned long long)status.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
}

static void test_journal_gets_fields(void **state)
{
    (void)state;
    char directory[] = "/tmp/af-log-test-XXXXXX";
    assert_non_null(mkdtemp(directory));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/journal", directory);
    int journal = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(journal, (const struct sockaddr *)&address, sizeof address), 0);

    char text[2048];
    struct capture capture = capture_start();
    claim_journal_stream();
    log_open_journal("tester", LOG_LEVEL_INFO, address.sun_path);
    log_warn("T-ID", "it is so", "task path", "a/1", "lines", "x\ny", NULL);
    char datagram[2048] = "";
    ssize_t size = recv(journal, datagram, sizeof datagram, MSG_DONTWAIT);
    close(journal);
    unlink(address.sun_path);
    log_info("T-TWO", "the journal is gone", NULL);
    capture_end(&capture, text, sizeof text);
    unsetenv("JOURNAL_STREAM");
    log_open("tester", LOG_LEVEL_INFO);
    rmdir(directory);

    static const char EXPECTED[] =
        "MESSAGE=T-ID it is so task path=a/1 lines=\"x\\ny\"\nPRIORITY=4\n"
        "SYSLOG_IDENTIFIER=tester\nAF_ID=T-ID\nAF_TASK_PATH=a/1\n"
        "AF_LINES\n\3\0\0\0\0\0\0\0x\ny\n";
    assert_int_equal(size, sizeof EXPECTED - 1);
    assert_memory_equal(datagram, EXPECTED, sizeof EXPECTED - 1);
    assert_string_equal(text, "<6>T-TWO the journal is gone\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_line_with_fields),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_journal_gets_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
