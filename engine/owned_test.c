#include "engine/fixture.h"

int main(void)
{
    return 0;
}
