/* id: the names of things, and which names are allowed. */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "hash.h"
#include "id.h"
#include "text.h"

static bool
alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool
safe(char c)
{
	return alnum(c) || c == '_' || c == '.' || c == '-';
}

static const char *
bad_id(const char *id, size_t max)
{
	if (!*id)
		return "is empty";
	if (!alnum(*id) && *id != '_')
		return "does not start with a letter, a digit or _";
	size_t n = 0;
	for (; id[n]; n++) {
		if (n == max)
			return "is too long";
		if (!safe(id[n]) && id[n] != ':')
			return "has a character other than letters, digits and _.:-";
		if (id[n] == '.' && id[n + 1] == '.')
			return "has two dots in a row";
	}
	return NULL;
}

const char *
id_bad_operation(const char *id)
{
	return bad_id(id, ID_OPERATION_MAX);
}

const char *
id_bad_call(const char *id)
{
	return bad_id(id, ID_NAME_MAX);
}

const char *
id_bad_participant(const char *name)
{
	size_t n = strnlen(name, ID_NAME_MAX + 1);
	if (!n)
		return "is empty";
	if (n > ID_NAME_MAX)
		return "is longer than 64 bytes";
	if (name[0] == '-')
		return "starts with a dash";
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return "is not a name";
	if (name[0] == ' ' || name[n - 1] == ' ')
		return "has a blank at an end";
	for (size_t i = 0, len; i < n; i += len) {
		uint32_t code;
		if (!(len = text_decode(name + i, n - i, &code)))
			return "is not UTF-8";
		if (text_unsafe(code))
			return "has a control or invisible character";
	}
	return NULL;
}

const char *
id_bad_key(const char *key)
{
	size_t n = 0;
	for (; key[n]; n++)
		if (n == ID_KEY_MAX)
			return "is longer than 128 bytes";
		else if (!safe(key[n]) && key[n] != ':')
			return "has a character other than letters, digits and ._:-";
	return n ? NULL : "is empty";
}

/* Whether text follows a pattern: `d` a digit, `x` a hex digit, anything else itself. */
static bool
follows(const char *text, const char *pattern)
{
	for (; *pattern; text++, pattern++) {
		bool digit = *text >= '0' && *text <= '9';
		if (*pattern == 'd' ? !digit : *pattern == 'x' ? !digit && (*text < 'a' || *text > 'f') : *text != *pattern)
			return false;
	}
	return true;
}

bool
id_is_full(const char *id)
{
	size_t n = strlen(id);
	return n > 30 && follows(id, "ddddddddTdddddd.dddZ-") && follows(id + n - 9, "-xxxxxxxx") && !id_bad_operation(id);
}

/* Copy a participant's name with `_` for what an id may not have. */
static void
id_name(const char *name, char *out, size_t max)
{
	size_t n = 0;
	for (; name[n] && n < max; n++)
		out[n] = safe(name[n]) && !(name[n] == '.' && n && out[n - 1] == '.') ? name[n] : '_';
	out[n] = '\0';
}

void
id_operation(int64_t wall_ms, const char *initiator, uint32_t random, char id[ID_OPERATION_MAX + 1])
{
	char at[CLOCK_TEXT], name[ID_NAME_MAX + 1];
	clock_format(wall_ms, at);
	id_name(initiator, name, ID_NAME_MAX);
	/* 2026-11-22T14:30:45.123Z without its dashes and colons */
	snprintf(id, ID_OPERATION_MAX + 1, "%.4s%.2s%.3s%.2s%.2s%.7s-%s-%08x", at, at + 5, at + 8, at + 11, at + 14, at + 17,
		name, (unsigned)random);
}

void
id_call(const char *participant, uint64_t number, uint32_t random, char id[ID_NAME_MAX + 1])
{
	char name[33];
	id_name(participant, name, sizeof name - 1);
	snprintf(id, ID_NAME_MAX + 1, "call_%s_%llu_%04x", name, (unsigned long long)number, (unsigned)random & 0xffff);
}

void
id_file(const char *participant, char file[ID_FILE_MAX + 1])
{
	static const char hex[] = "0123456789ABCDEF";
	char *out = file;
	for (const char *p = participant; *p && out + 3 <= file + ID_FILE_MAX; p++) {
		if (safe(*p) && !(*p == '.' && p == participant)) {
			*out++ = *p;
			continue;
		}
		*out++ = '%';
		*out++ = hex[(unsigned char)*p >> 4];
		*out++ = hex[(unsigned char)*p & 15];
	}
	*out = '\0';
}

void
id_key_file(const char *key, char file[ID_KEY_FILE + 1])
{
	hash_hex(hash_bytes(1, key, strlen(key)), file);
	hash_hex(hash_bytes(2, key, strlen(key)), file + 16);
}
