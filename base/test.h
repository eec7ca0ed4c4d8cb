/* What every cmocka program of ours includes first, in the order that cmocka wants. */
#ifndef AF_BASE_TEST_H
#define AF_BASE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
