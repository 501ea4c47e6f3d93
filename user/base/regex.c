// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdint.h>
#include <stdlib.h>
#include "base/error.h"
#include "base/regex.h"

/* Steps of a search: a pattern such as (a+)+$ needs any number of them. */
#define STEPS_MAX 1000000

struct kb_regex {
	pcre2_code *code;
	pcre2_match_data *match;
	pcre2_match_context *context;
};

static struct kb_error *failed(int code, const char *pattern)
{
	PCRE2_UCHAR text[128] = "";

	pcre2_get_error_message(code, text, sizeof(text));
	return kb_usage("'%s' is no regular expression: %s", pattern, text);
}

struct kb_error *kb_regex__create(const char *pattern, struct kb_regex **regex)
{
	struct kb_regex *fresh = calloc(1, sizeof(*fresh));
	PCRE2_SIZE at;
	int code;

	if (!fresh)
		return kb_error__no_memory();
	fresh->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
				    PCRE2_UTF | PCRE2_UCP, &code, &at, NULL);
	if (!fresh->code) {
		free(fresh);
		return failed(code, pattern);
	}
	fresh->match = pcre2_match_data_create_from_pattern(fresh->code, NULL);
	fresh->context = pcre2_match_context_create(NULL);
	if (!fresh->match || !fresh->context) {
		kb_regex__destroy(fresh);
		return kb_error__no_memory();
	}
	pcre2_set_match_limit(fresh->context, STEPS_MAX);
	*regex = fresh;
	return NULL;
}

struct kb_error *kb_regex__search(const struct kb_regex *regex, const char *text, bool *found)
{
	int result = pcre2_match(regex->code, (PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, 0, 0,
				 regex->match, regex->context);

	if (result < 0 && result != PCRE2_ERROR_NOMATCH) {
		PCRE2_UCHAR why[128] = "";

		pcre2_get_error_message(result, why, sizeof(why));
		return kb_failed("regular expression: %s", why);
	}
	*found = result >= 0;
	return NULL;
}

void kb_regex__destroy(struct kb_regex *regex)
{
	if (!regex)
		return;
	pcre2_match_data_free(regex->match);
	pcre2_match_context_free(regex->context);
	pcre2_code_free(regex->code);
	free(regex);
}
