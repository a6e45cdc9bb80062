-- Write a JSON value as an Erlang term without its version byte, as the codec of the Python package writes it. An object
-- that holds the key of the codec's tags is tagged itself, so that it reads back as what it is.
--
-- Called by: oban_workflow_signal.
CREATE OR REPLACE FUNCTION oban_workflow_term(p_value jsonb)
RETURNS bytea
LANGUAGE plpgsql
IMMUTABLE
SET search_path FROM CURRENT
AS $$
DECLARE
  v_number numeric;
  v_rest numeric;
  v_bytes bytea := '';
  v_count integer;
BEGIN
  CASE jsonb_typeof(p_value)
    WHEN 'null' THEN
      RETURN '\x77036e696c'::bytea;
    WHEN 'boolean' THEN
      RETURN CASE WHEN p_value::boolean THEN '\x770474727565'::bytea ELSE '\x770566616c7365'::bytea END;
    WHEN 'string' THEN
      v_bytes := convert_to(p_value #>> '{}', 'UTF8');

      RETURN '\x6d'::bytea || int4send(length(v_bytes)) || v_bytes;
    WHEN 'number' THEN
      v_number := p_value::numeric;

      IF scale(v_number) > 0 THEN
        RETURN '\x46'::bytea || float8send(v_number::double precision);
      ELSIF v_number BETWEEN 0 AND 255 THEN
        RETURN '\x61'::bytea || set_byte('\x00'::bytea, 0, v_number::integer);
      ELSIF v_number BETWEEN -2147483648 AND 2147483647 THEN
        RETURN '\x62'::bytea || int4send(v_number::integer);
      END IF;

      v_rest := abs(v_number);

      WHILE v_rest > 0 LOOP
        v_bytes := v_bytes || set_byte('\x00'::bytea, 0, mod(v_rest, 256)::integer);
        v_rest := div(v_rest, 256);
      END LOOP;

      RETURN CASE
        WHEN length(v_bytes) < 256 THEN '\x6e'::bytea || set_byte('\x00'::bytea, 0, length(v_bytes))
        ELSE '\x6f'::bytea || int4send(length(v_bytes))
      END || CASE WHEN v_number < 0 THEN '\x01'::bytea ELSE '\x00'::bytea END || v_bytes;
    WHEN 'array' THEN
      IF p_value = '[]' THEN
        RETURN '\x6a'::bytea;
      END IF;

      SELECT
        string_agg(oban_workflow_term(i.item), '' ORDER BY i.n)
      INTO
        v_bytes
      FROM
        jsonb_array_elements(p_value) WITH ORDINALITY AS i(item, n);

      RETURN '\x6c'::bytea || int4send(jsonb_array_length(p_value)) || v_bytes || '\x6a'::bytea;
    ELSE
      IF p_value ? '__python__' THEN
        RETURN '\x74'::bytea || int4send(2)
          || oban_workflow_term('"__python__"') || oban_workflow_term('"dict"')
          || oban_workflow_term('"value"') || (
            SELECT oban_workflow_term(jsonb_agg(jsonb_build_array(e.key, e.value))) FROM jsonb_each(p_value) e
          );
      END IF;

      SELECT
        count(*), COALESCE(string_agg(oban_workflow_term(to_jsonb(e.key)) || oban_workflow_term(e.value), ''), '')
      INTO
        v_count, v_bytes
      FROM
        jsonb_each(p_value) e;

      RETURN '\x74'::bytea || int4send(v_count) || v_bytes;
  END CASE;
END;
$$;
