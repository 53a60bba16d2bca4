#include "aws/s3filter.h"

#include "base/glob.h"
#include "base/str.h"

bool s3filter_keeps(const struct s3filter *filter, const char *path) {
	for (size_t i = filter->count; i-- > 0;)
		if (glob_match(filter->rules[i].pattern, path)) return filter->rules[i].is_include;
	return true;
}

bool s3filter_prunes(const struct s3filter *filter, const char *folder) {
	/* A pattern that ends in '*' and matches "a/b/" matches everything that goes on after it. */
	for (size_t i = filter->count; i-- > 0 && !filter->rules[i].is_include;)
		if (str_ends(filter->rules[i].pattern, "*") && glob_match(filter->rules[i].pattern, folder))
			return true;
	return false;
}
