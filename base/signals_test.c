#include "base/signals.h"

#include "base/test.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static int next_signal(int fd)
{
    struct signalfd_siginfo info;
    return read(fd, &info, sizeof info) == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

static void test_signals_are_read_and_end_nothing(void **state)
{
    struct err err = {0};
    int fd = signals_open(true, &err);
    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(0, next_signal(fd));
    raise(SIGPIPE);
    assert_int_equal(0, next_signal(fd));
    static const int signals[] = {SIGTERM, SIGINT, SIGCHLD};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        raise(signals[i]);
        assert_int_equal(signals[i], next_signal(fd));
    }
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_signals_are_read_and_end_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
