#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aws/call.h"
#include "aws/cred.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/http.h"
#include "report/remote.h"
#include "report/report.h"

#include "loopback.h"

#define T0 1795183800000LL /* 2026-11-20T14:10:00Z */
#define OK_BODY                                                                                                        \
	"<CreateTagsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r</requestId>"              \
	"<return>true</return></CreateTagsResponse>"
#define ERROR_BODY(code)                                                                                               \
	"<Response><Errors><Error><Code>" code "</Code><Message>no</Message></Error></Errors><RequestID>r</RequestID>" \
	"</Response>"

#define THROTTLED                                                                                                      \
	{ "POST / ", 503, NULL, ERROR_BODY("RequestLimitExceeded") }
#define THROTTLED_5 THROTTLED, THROTTLED, THROTTLED, THROTTLED, THROTTLED

/* What the sender's open_aws needs. */
struct place {
	char endpoint[128];
	const char *env[4];
	struct http *http;
	struct cred_chain *creds;
	struct aws aws;
};

static int open_aws(void *arg, struct aws **ret_aws, struct err *err) {
	struct place *p = arg;
	int rc = http_open(&p->http, err);
	if (rc) return rc;
	p->creds = cred_chain_new(p->env, p->http, NULL);
	p->aws = (struct aws){
		.http = p->http, .creds = p->creds, .region = "us-east-1", .domain = "amazonaws.com", .env = p->env};
	*ret_aws = &p->aws;
	return 0;
}

static int open_nothing(void *arg, struct aws **ret_aws, struct err *err) {
	return err_set(err, ERR_NOT_FOUND, "no credentials: the instance has no role");
}

static void place_init(struct place *p, const struct lo *lo) {
	*p = (struct place){.env = {NULL, "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=secretsecret", NULL}};
	(void)snprintf(p->endpoint, sizeof p->endpoint, "AWS_ENDPOINT_URL_EC2=%s", lo->url);
	p->env[0] = p->endpoint;
}

static void place_clear(struct place *p) {
	cred_chain_free(p->creds);
	http_close(p->http);
}

static struct report_remote_conf conf_for(struct place *p) {
	return (struct report_remote_conf){.instance_id = "i-0123",
					   .has_tags = true,
					   .tags_policy = {.interval_ms = 60000,
							   .interval_cap_ms = 60000,
							   .backoff_base_ms = 1,
							   .backoff_cap_ms = 20,
							   .final_budget_ms = 30000},
					   .linger_ms = 20000,
					   .open_aws = open_aws,
					   .arg = p};
}

static struct run_view view_of(struct step_view *step) {
	return (struct run_view){.run_id = "20261120-141000-3f9a",
				 .recipe = "daily-driver@3f9a1c2e",
				 .version = "0.1.0",
				 .started_at_ms = T0,
				 .updated_at_ms = T0,
				 .steps = step,
				 .count = 1,
				 .total = 1};
}

/* The form of a captured request. */
static const char *body_of(const struct lo *lo, size_t i) {
	if (i >= lo->count) return "(no request)";
	const char *end = strstr(lo->requests[i], "\r\n\r\n");
	return end ? end + 4 : "(no body)";
}

#define FORM(tags) "Action=CreateTags&Version=2016-11-15&ResourceId.1=i-0123" tags
#define TAG(n, key, value) "&Tag." n ".Key=dsagent%3A" key "&Tag." n ".Value=" value

/* Runs the sender in this process on one set of tags, the run's side of the socket open or closed. */
static void send_one(const struct report_remote_conf *conf, const struct word *set, bool is_run_gone, char *warning,
		     size_t size) {
	int fds[2];
	static struct word_board board;
	memset(&board, 0, sizeof board);
	word_put(&board, set);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	if (is_run_gone)
		assert_int_equal(shutdown(fds[0], SHUT_WR), 0);
	else
		assert_int_equal(send(fds[0], "", 1, 0), 1);
	remote_main(fds[1], &board, conf);
	ssize_t n = recv(fds[0], warning, size - 1, MSG_DONTWAIT);
	warning[n > 0 ? n : 0] = '\0';
	close(fds[0]);
	close(fds[1]);
}

static struct word ready_set(void) {
	struct step_view step = {.name = "R", .status = STEP_OK};
	struct run_view view = view_of(&step);
	struct word set;
	view.status = RUN_READY;
	view.done = 1;
	view.percent = 100;
	view.ready_at_ms = view.ended_at_ms = T0 + 42000;
	view.updated_at_ms = T0 + 42000;
	word_fill(&view, &set);
	return set;
}

#define READY_FORM                                                                                                     \
	FORM(TAG("1", "status", "ready") TAG("2", "progress", "1%2F1%20100%25%20ready") TAG("3", "error", "")          \
		     TAG("4", "recipe", "daily-driver%403f9a1c2e") TAG("5", "ready-at", "2026-11-20T14%3A10%3A42Z")    \
			     TAG("6", "version", "0.1.0") TAG("7", "updated-at", "2026-11-20T14%3A10%3A42Z"))

struct final_row {
	const char *name;
	struct lo_row script[24];
	int (*open_aws)(void *arg, struct aws **ret_aws, struct err *err);
	const char *warning;
};

static const struct final_row final_rows[] = {
	{"accepted", {{"POST / ", 200, NULL, OK_BODY}, {0}}, open_aws, ""},
	{"throttled once",
	 {{"POST / ", 503, NULL, ERROR_BODY("RequestLimitExceeded")}, {"POST / ", 200, NULL, OK_BODY}, {0}},
	 open_aws,
	 ""},
	{"throttled twenty times",
	 {THROTTLED_5, THROTTLED_5, THROTTLED_5, THROTTLED_5, {"POST / ", 200, NULL, OK_BODY}, {0}},
	 open_aws,
	 ""},
	{"a server error once", {{"POST / ", 500, NULL, ""}, {"POST / ", 200, NULL, OK_BODY}, {0}}, open_aws, ""},
	{"denied: one warning, no second try",
	 {{"POST / ", 403, NULL, ERROR_BODY("UnauthorizedOperation")}, {0}},
	 open_aws,
	 "no EC2 tags from here on, the work goes on: ec2:CreateTags for i-0123 (allow ec2:CreateTags in the policy of "
	 "the instance's role): HTTP 403 UnauthorizedOperation: no"},
	{"no role: nothing is sent",
	 {{0}},
	 open_nothing,
	 "no EC2 tags from here on, the work goes on: no credentials: the instance has no role"},
};

static void test_final(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof final_rows / sizeof final_rows[0]; i++) {
		struct lo lo;
		struct place place;
		char warning[REMOTE_WARNING_MAX];
		struct word set = ready_set();
		lo_start(&lo, final_rows[i].script);
		place_init(&place, &lo);
		struct report_remote_conf conf = conf_for(&place);
		conf.open_aws = final_rows[i].open_aws;
		send_one(&conf, &set, false, warning, sizeof warning);
		place_clear(&place);
		lo_stop(&lo);
		assert_string_equal(lo_difference(&lo) ? lo_difference(&lo) : final_rows[i].name, final_rows[i].name);
		for (size_t k = 0; k < lo.count; k++) assert_string_equal(body_of(&lo, k), READY_FORM);
		assert_string_equal(warning, final_rows[i].warning);
		lo_clear(&lo);
	}
}

static void test_killed_run(void **state) {
	(void)state;
	static const struct lo_row script[] = {{"POST / ", 200, NULL, OK_BODY}, {0}};
	struct step_view step = {.name = "R", .status = STEP_RUNNING};
	struct run_view view = view_of(&step);
	struct word set;
	struct lo lo;
	struct place place;
	char warning[REMOTE_WARNING_MAX];
	lo_start(&lo, script);
	place_init(&place, &lo);
	struct report_remote_conf conf = conf_for(&place);
	word_fill(&view, &set);
	send_one(&conf, &set, true, warning, sizeof warning);
	place_clear(&place);
	lo_stop(&lo);
	assert_null(lo_difference(&lo));
	assert_string_equal(body_of(&lo, 0),
			    FORM(TAG("1", "status", "interrupted") TAG("2", "progress", "0%2F1%200%25%20R") TAG(
				    "3", "error", "dsagent%20ended%20without%20a%20word%3A%20it%20was%20killed")
					 TAG("4", "recipe", "daily-driver%403f9a1c2e") TAG("5", "ready-at", "")
						 TAG("6", "version", "0.1.0")
							 TAG("7", "updated-at", "2026-11-20T14%3A10%3A00Z")));
	lo_clear(&lo);
}

static void test_gives_way(void **state) {
	(void)state;
	static const struct lo_row script[] = {{0}};
	char path[] = "/tmp/dsagent-tags-XXXXXX", warning[REMOTE_WARNING_MAX];
	static const char newer[] = "{\"run_id\":\"20261120-150000-0001\",\"status\":\"running\"}";
	struct word set = ready_set();
	struct lo lo;
	struct place place;
	int fd = mkstemp(path);
	assert_int_equal(write(fd, newer, sizeof newer - 1), sizeof newer - 1);
	close(fd);
	lo_start(&lo, script);
	place_init(&place, &lo);
	struct report_remote_conf conf = conf_for(&place);
	conf.status_path = path;
	send_one(&conf, &set, false, warning, sizeof warning);
	place_clear(&place);
	lo_stop(&lo);
	(void)unlink(path);
	assert_int_equal(lo.count, 0);
	assert_string_equal(warning, "");
	lo_clear(&lo);
}

static void tell(struct sink *sink, enum event_type type, size_t step, const struct run_view *view) {
	struct event event = {.type = type, .at_ms = T0, .step = step};
	sink->event(sink, &event, view);
}

/* The whole way: events, sender's process, two calls; the second holds what changed and nothing else. */
static void test_sink(void **state) {
	(void)state;
	static const struct lo_row script[] = {{"POST / ", 200, NULL, OK_BODY}, {"POST / ", 200, NULL, OK_BODY}, {0}};
	struct step_view step = {.name = "R", .status = STEP_RUNNING, .text = "installing hunter2-secret"};
	struct run_view view = view_of(&step);
	struct lo lo;
	struct place place;
	struct sink *sink = NULL;
	struct err err = {0};
	log_secret_add("hunter2-secret");
	lo_start(&lo, script);
	place_init(&place, &lo);
	struct report_remote_conf conf = conf_for(&place);
	assert_int_equal(report_remote(&conf, &sink, &err), 0);
	tell(sink, EVENT_RUN_STARTED, SIZE_MAX, &view);
	tell(sink, EVENT_STEP_CHANGE, 0, &view);
	for (int i = 0; i < 1000 && *(volatile size_t *)&lo.count < 1; i++) clock_sleep_ms(10);
	step.status = STEP_FAILED;
	view.status = RUN_FAILED;
	view.updated_at_ms = view.ended_at_ms = T0 + 5000;
	(void)snprintf(view.error, sizeof view.error, "step 1 'R' failed: é%300d", 7);
	tell(sink, EVENT_RUN_ENDED, SIZE_MAX, &view);
	sink->close(sink);
	lo_stop(&lo);
	log_secrets_clear();
	assert_null(lo_difference(&lo));
	assert_string_equal(body_of(&lo, 0),
			    FORM(TAG("1", "status", "running")
					 TAG("2", "progress", "0%2F1%200%25%20R%3A%20installing%20%2A%2A%2A")
						 TAG("3", "error", "") TAG("4", "recipe", "daily-driver%403f9a1c2e")
							 TAG("5", "ready-at", "") TAG("6", "version", "0.1.0")
								 TAG("7", "updated-at", "2026-11-20T14%3A10%3A00Z")));
	AUTO_ARENA struct arena arena = {0};
	char spaces[3 * 300 + 1] = "";
	size_t room = 256 - strlen("step 1 'R' failed: ") - 1; /* the accented letter is one character */
	for (size_t i = 0; i < room; i++) memcpy(spaces + 3 * i, "%20", 4);
	assert_string_equal(body_of(&lo, 1),
			    arena_printf(&arena,
					 "Action=CreateTags&Version=2016-11-15&ResourceId.1=i-0123"
					 "&Tag.1.Key=dsagent%%3Astatus&Tag.1.Value=failed"
					 "&Tag.2.Key=dsagent%%3Aprogress&Tag.2.Value=0%%2F1%%200%%25%%20failed"
					 "&Tag.3.Key=dsagent%%3Aerror&Tag.3.Value=step%%201%%20%%27R%%27%%20failed"
					 "%%3A%%20%%C3%%A9%s"
					 "&Tag.4.Key=dsagent%%3Aupdated-at&Tag.4.Value=2026-11-20T14%%3A10%%3A05Z",
					 spaces));
	lo_clear(&lo);
}

int main(void) {
	(void)setenv("DSAGENT_NOW", "1795183800", 1); /* T0 */
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_final), cmocka_unit_test(test_killed_run),
					   cmocka_unit_test(test_gives_way), cmocka_unit_test(test_sink)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
