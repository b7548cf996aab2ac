/* log: a line for each request. */
#include "clock.h"
#include "fsx.h"
#include "json.h"
#include "log.h"

void
log_request(const struct conn *c, const char *path, size_t n, int64_t us)
{
	struct buf b = {0};
	json_open(&b, NULL, '{');
	json_put_time(&b, "at", clock_wall_ms());
	json_put_int(&b, "connection", (int64_t)c->number);
	json_put_n(&b, "path", path, n < 200 ? n : 200);
	json_put_int(&b, "status", c->status);
	json_put_int(&b, "us", us);
	json_close(&b, '}');
	buf_char(&b, '\n');
	if (!b.failed)
		(void)fsx_write(2, b.p, b.n);
	buf_free(&b);
}
