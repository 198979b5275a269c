ALTER TABLE "vault_keys" ADD COLUMN "signing_key" text;--> statement-breakpoint
ALTER TABLE "connections" ADD COLUMN "signature" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "audit_head" ADD COLUMN "signature" text DEFAULT '' NOT NULL;--> statement-breakpoint
CREATE FUNCTION "audit_head_advances"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NOT EXISTS (SELECT 1 FROM audit_head) THEN RETURN NEW; END IF;
  ELSIF TG_OP = 'UPDATE' THEN
    IF NEW.id = OLD.id AND NEW.seq >= OLD.seq AND NEW.cut_seq >= OLD.cut_seq AND NEW.cut_seq <= NEW.seq THEN RETURN NEW; END IF;
  ELSIF TG_OP = 'DELETE' THEN
    IF to_regclass('copy_in_progress') IS NOT NULL THEN RETURN OLD; END IF;
  END IF;
  RAISE EXCEPTION 'The head of the audit trail only goes forward';
END $$;--> statement-breakpoint
CREATE TRIGGER "audit_head_advances" BEFORE INSERT OR UPDATE OR DELETE ON "audit_head" FOR EACH ROW EXECUTE FUNCTION "audit_head_advances"();--> statement-breakpoint
CREATE TRIGGER "audit_head_remains" BEFORE TRUNCATE ON "audit_head" FOR EACH STATEMENT EXECUTE FUNCTION "audit_head_advances"();--> statement-breakpoint
CREATE FUNCTION "audit_appends"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.seq > coalesce((SELECT seq FROM audit_head), 0) OR to_regclass('copy_in_progress') IS NOT NULL THEN RETURN NEW; END IF;
  RAISE EXCEPTION 'Audit rows are only appended';
END $$;--> statement-breakpoint
CREATE TRIGGER "audit_appends" BEFORE INSERT ON "audit" FOR EACH ROW EXECUTE FUNCTION "audit_appends"();
