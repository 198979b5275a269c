CREATE TABLE "audit" (
	"seq" bigint PRIMARY KEY NOT NULL,
	"at" bigint NOT NULL,
	"actor" text NOT NULL,
	"actor_id" bigint,
	"actor_name" text,
	"action" text NOT NULL,
	"user_id" bigint,
	"connection_id" bigint,
	"product" text,
	"ip" text,
	"request_id" text,
	"detail" text,
	"hash" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "audit_head" (
	"id" bigint PRIMARY KEY NOT NULL,
	"seq" bigint NOT NULL,
	"hash" text NOT NULL,
	"cut_seq" bigint NOT NULL,
	"cut_hash" text NOT NULL
);
--> statement-breakpoint
CREATE INDEX "audit_user" ON "audit" USING btree ("user_id","seq");--> statement-breakpoint
CREATE INDEX "audit_action" ON "audit" USING btree ("action","seq");--> statement-breakpoint
CREATE INDEX "audit_at" ON "audit" USING btree ("at");--> statement-breakpoint
CREATE FUNCTION "audit_stays"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- Only what the head has cut off may go, and what a copy into a new database begins anew.
  IF TG_OP = 'DELETE' THEN
    IF OLD.seq <= coalesce((SELECT cut_seq FROM audit_head), 0) OR to_regclass('copy_in_progress') IS NOT NULL THEN RETURN OLD; END IF;
  END IF;
  RAISE EXCEPTION 'Audit rows are neither changed nor removed';
END $$;--> statement-breakpoint
CREATE TRIGGER "audit_stays" BEFORE UPDATE OR DELETE ON "audit" FOR EACH ROW EXECUTE FUNCTION "audit_stays"();--> statement-breakpoint
CREATE TRIGGER "audit_remains" BEFORE TRUNCATE ON "audit" FOR EACH STATEMENT EXECUTE FUNCTION "audit_stays"();
