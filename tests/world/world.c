/*
 * world [--bind ADDR] [--port N] [--s3-port N] [--ready-file FILE] [--with-parent]: listens, prints its ports (and
 * writes the first to FILE), serves until it is ended by a signal.
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "s3.h"

struct connection {
	struct world *world;
	int fd;
};

static void sleep_ms(int64_t ms) {
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

static enum kind kind_of(const struct request *request) {
	if (text_starts(request->path, "/_world/")) return KIND_CONTROL;
	enum kind kind = imds_kind(request);
	return kind == KIND_COUNT ? ec2_kind(request) : kind;
}

/* The answer of faults that put another one in the place of the true one; what was asked for is then not done. */
static void answer_falsely(struct answer *answer, enum kind kind, const struct fault *fault) {
	bool is_imds = kind == KIND_TOKEN || kind == KIND_METADATA || kind == KIND_CREDS;

	if (fault->action == FAULT_HTML)
		http_answer(
			answer, 200, "text/html",
			text_dup(
				"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Please sign in to the "
				"network.</body></html>\n"));
	else if (fault->action == FAULT_GARBAGE)
		http_answer(answer, 200, "text/plain",
			    text_dup("\x01\xff\xfe<{[\"\x7f\x80 %s%n ]}>\x1b[31m\r\n\t\xc3("));
	else if (fault->action == FAULT_STATUS && !is_imds)
		ec2_error(answer, fault->status, fault->code[0] ? fault->code : "InternalError",
			  fault->message[0] ? fault->message : "An internal error has occurred");
	else
		http_answer(answer, fault->action == FAULT_STATUS ? fault->status : 503, "text/html",
			    text_dup("<html></html>\n"));
}

static bool is_false(const struct fault *fault) {
	switch (fault->action) {
	case FAULT_NONE:
	case FAULT_TRUNCATED: return false;
	case FAULT_RESET: return fault->bytes == 0;
	case FAULT_STATUS:
	case FAULT_STALL:
	case FAULT_GARBAGE:
	case FAULT_HTML: return true;
	}
	return true;
}

static void serve(struct world *world, const struct request *request, enum kind kind, const struct fault *fault,
		  struct answer *answer) {
	if (kind == KIND_CONTROL) return control_serve(world, request, answer);
	world->counters[kind]++;
	if (is_false(fault))
		answer_falsely(answer, kind, fault);
	else if (imds_kind(request) != KIND_COUNT)
		imds_serve(world, request, fault, answer);
	else
		ec2_serve(world, request, fault, answer);
	fprintf(world->log, "%lld %s %s %s %d%s\n", (long long)wall_ms(), kind_names[kind], request->method,
		request->target, answer->status, fault->action || fault->delay_ms ? " faulted" : "");
}

static void *serve_connection(void *arg) {
	struct connection c = *(struct connection *)arg;
	struct request request;
	char *pending = NULL;
	size_t pending_len = 0;
	bool goes_on = true;

	free(arg);
	while (goes_on && http_read(c.fd, &pending, &pending_len, &request)) {
		struct answer answer = {0};
		enum kind kind = kind_of(&request);
		pthread_mutex_lock(&c.world->lock);
		struct fault fault = fault_take(c.world, kind, request.target);
		pthread_mutex_unlock(&c.world->lock);
		if (fault.delay_ms) sleep_ms(fault.delay_ms);
		pthread_mutex_lock(&c.world->lock);
		serve(c.world, &request, kind, &fault, &answer);
		pthread_mutex_unlock(&c.world->lock);
		goes_on = http_send(c.fd, &request, &answer, &fault);
		free(answer.body);
		http_request_clear(&request);
	}
	http_request_clear(&request);
	free(pending);
	close(c.fd);
	return NULL;
}

int world_listen(const char *address, int port, int *ret_port) {
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	socklen_t len = sizeof a;
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (inet_pton(AF_INET, address, &a.sin_addr) != 1 || fd < 0) return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 1024)) return -1;
	if (getsockname(fd, (struct sockaddr *)&a, &len)) return -1;
	*ret_port = ntohs(a.sin_port);
	return fd;
}

/* Whole under its name from the first moment: a reader polls for it. */
static bool write_ready(const char *path, int port) {
	char *temporary = text_print("%s.part", path);
	FILE *f = fopen(temporary, "w");
	bool is_ok = f && fprintf(f, "%d\n", port) > 0;

	is_ok = f && fclose(f) == 0 && is_ok && rename(temporary, path) == 0;
	free(temporary);
	return is_ok;
}

static struct world *world_new(void) {
	struct world *w = must(calloc(1, sizeof *w));

	pthread_mutex_init(&w->lock, NULL);
	w->log = must(open_memstream(&w->log_text, &w->log_len));
	snprintf(w->role, sizeof w->role, "dsagent-test-role");
	snprintf(w->access_key, sizeof w->access_key, "ASIAWORLDEXAMPLE0001");
	snprintf(w->secret_key, sizeof w->secret_key, "worldSecret/EXAMPLE+KEY0123456789abcdef");
	snprintf(w->session_token, sizeof w->session_token, "IQoWorldSessionTokenEXAMPLE//////////wEaCXVzLWVhc3Q+x==");
	snprintf(w->creds_code, sizeof w->creds_code, "Success");
	w->creds_live_s = 6 * 3600;
	w->has_metadata_tags = true;
	return w;
}

static void accept_loop(struct world *world, int fd) {
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 512 * 1024);
	for (;;) {
		int one = 1, client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (client < 0) continue;
		(void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		pthread_mutex_lock(&world->lock);
		world->connections++;
		pthread_mutex_unlock(&world->lock);
		struct connection *c = must(malloc(sizeof *c));
		*c = (struct connection){world, client};
		pthread_t thread;
		if (pthread_create(&thread, &attr, serve_connection, c) != 0) abort();
	}
}

int main(int argc, char **argv) {
	static const struct option options[] = {
		{"bind", required_argument, NULL, 'b'},	   {"port", required_argument, NULL, 'p'},
		{"s3-port", required_argument, NULL, 's'}, {"ready-file", required_argument, NULL, 'r'},
		{"with-parent", no_argument, NULL, 'w'},   {0}};
	const char *address = "127.0.0.1", *ready = NULL;
	int port = 0, s3_port = 0, option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'b': address = optarg; break;
		case 'p': port = (int)strtol(optarg, NULL, 10); break;
		case 's': s3_port = (int)strtol(optarg, NULL, 10); break;
		case 'r': ready = optarg; break;
		case 'w': (void)prctl(PR_SET_PDEATHSIG, SIGKILL); break;
		default: return 2;
		}
	}
	signal(SIGPIPE, SIG_IGN);
	int fd = world_listen(address, port, &port);
	if (fd < 0) {
		perror("world: cannot listen");
		return 1;
	}
	struct world *world = world_new();
	if (!s3_start(world, address, s3_port)) {
		perror("world: S3");
		return 1;
	}
	printf("%d\n%d\n", port, world->s3->port);
	fflush(stdout);
	if (ready && !write_ready(ready, port)) {
		perror("world: ready file");
		return 1;
	}
	accept_loop(world, fd);
	return 0;
}
