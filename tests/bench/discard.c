/*
 * discard [-n REQUESTS] [-H LINE]… [-u FILE | -o FILE] HOST PORT PATH: the least that a client can do, to measure
 * others against. Receives the body of PATH and drops it, with -o writes it; or sends FILE (sendfile) and drops the
 * answer. With -n the same request so many times over one connection, eight of them under way at a time.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_MAX (256 * 1024)
#define AHEAD 8

static void die(const char *what) {
	perror(what);
	exit(1);
}

static void send_all(int fd, const char *data, size_t len, int flags) {
	while (len) {
		ssize_t n = send(fd, data, len, flags | MSG_NOSIGNAL);
		if (n <= 0) die("send");
		data += n;
		len -= (size_t)n;
	}
}

static int open_connection(const char *host, const char *port) {
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtol(port, NULL, 10))};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (inet_pton(AF_INET, host, &a.sin_addr) != 1 || connect(fd, (struct sockaddr *)&a, sizeof a)) die("connect");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

static void keep(int out, const char *data, size_t len) {
	if (out >= 0 && write(out, data, len) != (ssize_t)len) die("write");
}

/* One answer off the connection; what was received beyond it stays in buffer. */
static void take_answer(int fd, int out, char *buffer, size_t *len) {
	char *end;

	for (;;) {
		buffer[*len] = '\0';
		if ((end = strstr(buffer, "\r\n\r\n"))) break;
		ssize_t n = recv(fd, buffer + *len, READ_MAX - *len, 0);
		if (n <= 0) die("recv");
		*len += (size_t)n;
	}
	const char *length = strstr(buffer, "Content-Length: ");
	long long left = length && length < end ? strtoll(length + 16, NULL, 10) : 0;
	if (strncmp(buffer, "HTTP/1.1 2", 10) != 0) {
		fprintf(stderr, "discard: %.*s\n", (int)strcspn(buffer, "\r"), buffer);
		exit(1);
	}
	size_t used = (size_t)(end - buffer) + 4;
	long long have = (long long)(*len - used) < left ? (long long)(*len - used) : left;
	keep(out, buffer + used, (size_t)have);
	used += (size_t)have;
	left -= have;
	memmove(buffer, buffer + used, *len - used);
	*len -= used;
	while (left) {
		ssize_t n = recv(fd, buffer, left < READ_MAX ? (size_t)left : READ_MAX, 0);
		if (n <= 0) die("recv");
		keep(out, buffer, (size_t)n);
		left -= n;
	}
}

static void send_file(int fd, const char *path, off_t size) {
	int file = open(path, O_RDONLY | O_CLOEXEC);
	off_t at = 0;

	while (at < size)
		if (sendfile(fd, file, &at, (size_t)(size - at)) <= 0) die(path);
	close(file);
}

int main(int argc, char **argv) {
	static char buffer[READ_MAX + 1];
	char lines[8192] = "", *upload = NULL, *request;
	struct stat st = {0};
	size_t len = 0, lines_len = 0;
	long count = 1, sent = 0;
	int option, out = -1;

	while ((option = getopt(argc, argv, "n:H:u:o:")) != -1) {
		switch (option) {
		case 'n': count = strtol(optarg, NULL, 10); break;
		case 'H':
			lines_len += (size_t)snprintf(lines + lines_len, sizeof lines - lines_len, "%s\r\n", optarg);
			break;
		case 'u': upload = optarg; break;
		case 'o':
			out = open(optarg, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
			if (out < 0) die(optarg);
			break;
		default: return 2;
		}
	}
	if (argc - optind != 3 || lines_len >= sizeof lines || (upload && stat(upload, &st))) return 2;
	int fd = open_connection(argv[optind], argv[optind + 1]);
	if (asprintf(&request, "%s %s HTTP/1.1\r\nHost: %s:%s\r\nContent-Length: %lld\r\n%s\r\n",
		     upload ? "PUT" : "GET", argv[optind + 2], argv[optind], argv[optind + 1], (long long)st.st_size,
		     lines) < 0)
		die("memory");
	for (long done = 0; done < count; done++) {
		for (; sent < count && sent < done + (upload ? 1 : AHEAD); sent++) {
			send_all(fd, request, strlen(request), upload ? MSG_MORE : 0);
			if (upload) send_file(fd, upload, st.st_size);
		}
		take_answer(fd, out, buffer, &len);
	}
	return 0;
}
