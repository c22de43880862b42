/* Memory that connections have left behind goes back to the kernel. */
#ifndef LEASED_IO_TRIM_H
#define LEASED_IO_TRIM_H

#include <stdbool.h>
#include <stdint.h>

/* So many connections are a flood … */
#define TRIM_PEAK_LEAST 128U
/* … and so small a part of them its end. */
#define TRIM_PART 8U

/* Follows the number of connections: true once when it has fallen far below its peak, which then
 * counts anew. `peak` begins at 0. */
bool trim_is_due(uint32_t *peak, uint32_t count);

/* Gives free memory back. It walks through all of it, so not for each request. */
void trim_now(void);

#endif
