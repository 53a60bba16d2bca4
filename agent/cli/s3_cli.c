#include "cli/s3_cli.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aws/call.h"
#include "aws/s3.h"
#include "aws/s3url.h"
#include "base/err.h"
#include "base/fs.h"
#include "cli/context.h"

int s3_cli_state_dir(struct context *ctx, const char **ret_dir, struct err *err) {
	struct context_paths paths;
	int rc = context_paths(ctx, &paths, err);
	if (!rc) *ret_dir = arena_printf(&ctx->arena, "%s/s3", paths.state_dir);
	return rc;
}

int s3_cli_aws(struct context *ctx, const struct s3_cli *cli, struct aws **ret_aws, struct err *err) {
	int rc = context_aws(ctx, ret_aws, err);
	if (!rc && cli->region) {
		(*ret_aws)->region = cli->region;
		(*ret_aws)->domain = aws_domain_for_region(cli->region);
	}
	return rc;
}

int s3_cli_open(struct context *ctx, const struct s3_cli *cli, const char *bucket, struct s3 **ret_s3,
		struct err *err) {
	struct aws *aws = NULL;
	const struct fs_root *root = NULL;
	const char *state_dir = NULL;
	int rc = context_root(ctx, &root, err);
	if (!rc) rc = s3_cli_state_dir(ctx, &state_dir, err);
	if (!rc) rc = s3_cli_aws(ctx, cli, &aws, err);
	if (rc) return rc;
	struct s3_options options = {
		.aws = aws,
		.bucket = bucket,
		.endpoint_url = cli->endpoint_url,
		.uses_dualstack = cli->uses_dualstack,
		.pays_requests = cli->pays_requests,
		.skips_checksum = cli->skips_checksum,
		.jobs = (unsigned)cli->jobs,
		.bytes_per_s = cli->bytes_per_s,
		.state_dir = fs_host_path(root, state_dir, &ctx->arena),
	};
	return s3_open(&options, ret_s3, err);
}

struct s3filter s3_cli_filter(struct context *ctx, const struct s3_cli *cli) {
	size_t count = cli->filters.count / 2;
	struct s3rule *rules = arena_alloc(&ctx->arena, (count + 1) * sizeof *rules);
	for (size_t i = 0; i < count; i++)
		rules[i] = (struct s3rule){.pattern = cli->filters.items[2 * i + 1],
					   .is_include = str_eq(cli->filters.items[2 * i], "include")};
	return (struct s3filter){rules, count};
}

int s3_cli_path(struct context *ctx, const char *argument, const char **ret_path, struct err *err) {
	AUTO_STRS struct strs parts = {0};
	char here[PATH_MAX] = "/";
	if (!*argument) return err_set(err, ERR_INVALID, "the path is empty");
	/* Below --root there is no working directory but its top. */
	if (*argument != '/' && !ctx->root_dir && !getcwd(here, sizeof here))
		return err_set_errno(err, errno, "the working directory");
	if (*argument != '/') str_split(here, "/", &ctx->arena, &parts);
	AUTO_STRS struct strs own = {0};
	str_split(argument, "/", &ctx->arena, &own);
	for (size_t i = 0; i < own.count; i++)
		if (!str_eq(own.items[i], ".")) strs_add(&parts, own.items[i]);
	*ret_path = arena_printf(&ctx->arena, "/%s", strs_join(&parts, "/", &ctx->arena));
	return 0;
}

int s3_cli_way(const char *verb, const struct strs *args, enum s3way *ret_way, struct err *err) {
	const char *from = args->items[0], *to = args->items[1];
	bool is_from = s3url_is(from), is_to = s3url_is(to);
	if (is_from && is_to)
		return err_set(err, ERR_UNSUPPORTED,
			       "from S3 to S3 is not supported: use `aws s3 %s`, which copies without a detour", verb);
	if (!is_from && !is_to)
		return err_set(err, ERR_INVALID,
			       "one of SRC and DST must be s3://BUCKET/PREFIX or s3://BUCKET/KEY; '%s' and '%s' are "
			       "both paths",
			       from, to);
	*ret_way = is_from ? S3WAY_DOWN : S3WAY_UP;
	return 0;
}

void s3_cli_modes(unsigned *ret_file, unsigned *ret_folder) {
	mode_t mask = umask(0); /* there is no other way to read it; one thread */
	(void)umask(mask);
	*ret_file = 0666 & ~mask;
	*ret_folder = 0777 & ~mask;
}
