/* metrics: what the server counts. */
#include "answer.h"
#include "clock.h"
#include "metrics.h"
#include "version.h"

static const struct {
	int64_t us;
	const char *le;
} buckets[] = {{100, "0.0001"}, {250, "0.00025"}, {500, "0.0005"}, {1000, "0.001"}, {2500, "0.0025"}, {5000, "0.005"}, {10000, "0.01"}, {25000, "0.025"},
	{100000, "0.1"}, {1000000, "1.0"}, {10000000, "10.0"}};

enum { BUCKETS = sizeof buckets / sizeof *buckets };
_Static_assert(sizeof ((struct counts *)0)->buckets / sizeof (uint64_t) > BUCKETS, "a bucket more, for what takes longer");

void
metrics_count(struct server *s, int status, int64_t took_us)
{
	int i = 0;
	while (i < BUCKETS && took_us > buckets[i].us)
		i++;
	s->counts.buckets[i]++;
	s->counts.seconds += (double)took_us / 1e6;
	s->counts.by_class[status / 100 < 6 ? status / 100 : 5]++;
}

static void
put(struct buf *b, const char *name, const char *type, const char *help, uint64_t value)
{
	buf_fmt(b, "# TYPE %s %s\n# HELP %s %s\n%s%s %llu\n", name, type, name, help, name, *type == 'c' ? "_total" : "", (unsigned long long)value);
}

void
metrics(struct server *s, struct conn *c)
{
	const struct counts *n = &s->counts;
	struct buf b = {0};
	uint64_t sum = 0;
	buf_fmt(&b, "# TYPE dpl_build info\n# HELP dpl_build The program.\ndpl_build_info{version=\"%s\"} 1\n", DPL_VERSION);
	put(&b, "dpl_uptime_seconds", "gauge", "Since the server began.", (uint64_t)((clock_wall_ms() - s->started_ms) / 1000));
	put(&b, "dpl_connections", "counter", "Connections that were taken.", n->connections);
	put(&b, "dpl_connections_refused", "counter", "Connections that were closed because there were too many.", n->refused);
	put(&b, "dpl_connections_open", "gauge", "Connections now.", s->open);
	put(&b, "dpl_timeouts", "counter", "Connections that were closed because nothing moved.", n->timeouts);
	put(&b, "dpl_streams", "counter", "Event streams that were begun.", n->streams);
	put(&b, "dpl_flushes", "counter", "Flushes, each for all changes that waited for it.", n->flushes);
	put(&b, "dpl_work", "gauge", "Requests that children carry out or that wait for one.", work_load(s->work));
	put(&b, "dpl_operations_open", "gauge", "Operations whose state is kept in memory.", (uint64_t)s->verbs.opened);
	buf_str(&b, "# TYPE dpl_requests counter\n# HELP dpl_requests Requests that were answered, by class of status.\n");
	for (int i = 2; i < 6; i++)
		if (i != 3)
			buf_fmt(&b, "dpl_requests_total{status=\"%dxx\"} %llu\n", i, (unsigned long long)n->by_class[i]);
	buf_str(&b, "# TYPE dpl_request_seconds histogram\n# HELP dpl_request_seconds From the first byte of a request until its answer was ready.\n");
	for (int i = 0; i < BUCKETS; i++) {
		sum += n->buckets[i];
		buf_fmt(&b, "dpl_request_seconds_bucket{le=\"%s\"} %llu\n", buckets[i].le, (unsigned long long)sum);
	}
	sum += n->buckets[BUCKETS];
	buf_fmt(&b, "dpl_request_seconds_bucket{le=\"+Inf\"} %llu\ndpl_request_seconds_sum %.6f\ndpl_request_seconds_count %llu\n# EOF\n", (unsigned long long)sum, n->seconds,
		(unsigned long long)sum);
	answer_text(c, 200, "application/openmetrics-text; version=1.0.0; charset=utf-8", b.p ? b.p : "", b.n);
	buf_free(&b);
}
